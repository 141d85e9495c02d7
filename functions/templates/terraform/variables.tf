variable "function_name" {
  type    = string
  default = "orders-export"
}

variable "language" {
  description = "python or nodejs: which of the two handlers the zip file holds."
  type        = string
  default     = "nodejs"

  validation {
    condition     = contains(["python", "nodejs"], var.language)
    error_message = "Choose python or nodejs."
  }
}

variable "zip_file" {
  description = "Path of the function's zip file."
  type        = string
}

variable "export_bucket" {
  description = "The bucket of the object that is exported."
  type        = string
}

variable "export_key" {
  description = "The key of the object that is exported."
  type        = string
}

variable "secret_value" {
  description = "The first value of the secret header; Spillway rotates it from then on. It stands in Terraform's state."
  type        = string
  sensitive   = true

  validation {
    # Letters that need no quoting anywhere that the value stands; an apostrophe would end the mapping.
    condition     = can(regex("^[A-Za-z0-9_-]{32,128}$", var.secret_value))
    error_message = "Use 32 to 128 characters of A-Z, a-z, 0-9, - and _."
  }
}

variable "secret_id" {
  description = "ARN of the secret in Secrets Manager that Spillway keeps the value in, for `store: secrets-manager`. Empty: it keeps none there."
  type        = string
  default     = ""
}

variable "url_auth" {
  description = "NONE with the secret header (`auth: secret-header`); AWS_IAM for `auth: sigv4`."
  type        = string
  default     = "NONE"

  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.url_auth)
    error_message = "Choose NONE or AWS_IAM."
  }
}

variable "alias_pair" {
  description = "Two aliases, blue and green, each with a URL, for a handler that accepts one value."
  type        = bool
  default     = false
}

variable "rest_api" {
  description = "A REST API in front of the URL, which sends the secret header."
  type        = bool
  default     = false

  validation {
    condition     = !var.rest_api || var.url_auth == "NONE"
    error_message = "A gateway cannot sign for a URL of AWS_IAM. Choose url_auth = \"NONE\"."
  }
}

variable "http_api" {
  description = "An HTTP API in front of the URL, which sends the secret header."
  type        = bool
  default     = false

  validation {
    condition     = !var.http_api || var.url_auth == "NONE"
    error_message = "A gateway cannot sign for a URL of AWS_IAM. Choose url_auth = \"NONE\"."
  }
}

variable "manage_bucket_policy" {
  description = "Sets the policy of the export's bucket. It takes the place of the policy that the bucket has."
  type        = bool
  default     = false
}

variable "web_principal_arn" {
  description = "Who runs Spillway's web process, and may assume the web role."
  type        = string
}

variable "worker_principal_arn" {
  description = "Who runs Spillway's worker, and may assume the worker's role."
  type        = string
}
