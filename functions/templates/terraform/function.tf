# The function, and its URL: of the function itself or of each of two aliases.

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  aliases = toset(var.alias_pair ? ["blue", "green"] : [])
  # Where there is no pair, the one URL has no qualifier.
  urls      = toset(var.alias_pair ? ["blue", "green"] : ["latest"])
  open_urls = var.url_auth == "NONE" ? local.urls : toset([])
  url       = aws_lambda_function_url.export[var.alias_pair ? "blue" : "latest"].function_url

  bucket_arn = "arn:${data.aws_partition.here.partition}:s3:::${var.export_bucket}"
  object_arn = "${local.bucket_arn}/${var.export_key}"

  # What nobody can call unsigned asks for no secret.
  handler = var.url_auth == "NONE" ? "app.handler" : "app.export"

  # Lambda's own Python runtime cannot stream; the wrapper starts ours in its place.
  wrapper = var.language == "python" ? { AWS_LAMBDA_EXEC_WRAPPER = "/var/task/bootstrap" } : {}
}

resource "aws_lambda_function" "export" {
  function_name    = var.function_name
  runtime          = var.language == "python" ? "python3.13" : "nodejs22.x"
  handler          = local.handler
  role             = aws_iam_role.function.arn
  filename         = var.zip_file
  source_code_hash = filebase64sha256(var.zip_file)
  timeout          = 900
  memory_size      = 512
  publish          = var.alias_pair

  environment {
    variables = merge(local.wrapper, {
      SECRET_HEADER = var.secret_value
      EXPORT_BUCKET = var.export_bucket
      EXPORT_KEY    = var.export_key
    })
  }

  lifecycle {
    # Spillway rotates the value: the one that stands here must not come back.
    ignore_changes = [
      environment[0].variables["SECRET_HEADER"],
      environment[0].variables["SECRET_HEADER_NEXT"],
    ]
  }

  depends_on = [aws_cloudwatch_log_group.function]
}

resource "aws_lambda_alias" "export" {
  for_each = local.aliases

  name             = each.key
  function_name    = aws_lambda_function.export.function_name
  function_version = aws_lambda_function.export.version

  lifecycle {
    # Spillway publishes versions and moves the aliases.
    ignore_changes = [function_version]
  }
}

resource "aws_lambda_function_url" "export" {
  for_each = local.urls

  function_name      = aws_lambda_function.export.function_name
  qualifier          = var.alias_pair ? aws_lambda_alias.export[each.key].name : null
  authorization_type = var.url_auth
  invoke_mode        = "RESPONSE_STREAM"
}

# A URL that anybody may call needs both statements: the second one since October 2025.

resource "aws_lambda_permission" "url" {
  for_each = local.open_urls

  statement_id           = "spillway-url"
  function_name          = aws_lambda_function.export.function_name
  qualifier              = var.alias_pair ? aws_lambda_alias.export[each.key].name : null
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "invoke" {
  for_each = local.open_urls

  statement_id             = "spillway-invoke-via-url"
  function_name            = aws_lambda_function.export.function_name
  qualifier                = var.alias_pair ? aws_lambda_alias.export[each.key].name : null
  action                   = "lambda:InvokeFunction"
  principal                = "*"
  invoked_via_function_url = true
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = 30
}

resource "aws_iam_role" "function" {
  name_prefix        = "${substr(var.function_name, 0, 30)}-"
  assume_role_policy = data.aws_iam_policy_document.lambda_assumes.json
}

data "aws_iam_policy_document" "lambda_assumes" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "export"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

data "aws_iam_policy_document" "function" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }

  statement {
    sid       = "ReadTheObject"
    actions   = ["s3:GetObject"]
    resources = [local.object_arn]
  }

  # Without it S3 answers 403 for an object that is not there, and not 404.
  statement {
    sid       = "TellThatItIsMissing"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }
}
