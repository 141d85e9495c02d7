terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The first that knows invoked_via_function_url.
      version = ">= 6.29, < 7.0"
    }
  }
}
