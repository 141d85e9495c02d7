# What Spillway's web process may do: nothing where it sends the secret header, for a URL that anybody
# may call asks for no permission.

resource "aws_iam_role" "web" {
  name_prefix        = "${substr(var.function_name, 0, 30)}-"
  assume_role_policy = data.aws_iam_policy_document.web_assumes.json
}

data "aws_iam_policy_document" "web_assumes" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.web_principal_arn]
    }
  }
}

resource "aws_iam_role_policy" "web" {
  name   = "web"
  role   = aws_iam_role.web.id
  policy = data.aws_iam_policy_document.web.json
}

data "aws_iam_policy_document" "web" {
  # kind: function-url, auth: sigv4; and kind: lambda
  statement {
    sid       = "CallTheFunction"
    actions   = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]
    resources = [aws_lambda_function.export.arn, "${aws_lambda_function.export.arn}:*"]
  }

  # kind: s3
  statement {
    sid       = "ReadTheObject"
    actions   = ["s3:GetObject"]
    resources = [local.object_arn]
  }

  statement {
    sid       = "TellThatItIsMissing"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }
}

# What the worker that rotates may do, and nothing else: docs/rotation.md says what each is for.

resource "aws_iam_role" "worker" {
  name_prefix        = "${substr(var.function_name, 0, 30)}-"
  assume_role_policy = data.aws_iam_policy_document.worker_assumes.json
}

data "aws_iam_policy_document" "worker_assumes" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.worker_principal_arn]
    }
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "worker"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

locals {
  gateways = "arn:${data.aws_partition.here.partition}:apigateway:${data.aws_region.here.region}::"
  rest     = var.rest_api ? "${local.gateways}/restapis/${aws_api_gateway_rest_api.export[0].id}" : ""
  http     = var.http_api ? "${local.gateways}/apis/${aws_apigatewayv2_api.export[0].id}" : ""

  rest_stage       = var.rest_api ? "${local.rest}/stages/${aws_api_gateway_stage.export[0].stage_name}" : ""
  rest_integration = var.rest_api ? "${local.rest}/resources/${aws_api_gateway_resource.export[0].id}/methods/GET/integration" : ""
  http_stage       = var.http_api ? "${local.http}/stages/${aws_apigatewayv2_stage.export[0].name}" : ""
  http_integration = var.http_api ? "${local.http}/integrations/${aws_apigatewayv2_integration.export[0].id}" : ""
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid = "RotateTheFunction"
    actions = [
      "lambda:GetFunctionConfiguration",
      "lambda:UpdateFunctionConfiguration",
      "lambda:GetFunctionUrlConfig",
    ]
    resources = [aws_lambda_function.export.arn, "${aws_lambda_function.export.arn}:*"]
  }

  dynamic "statement" {
    for_each = var.alias_pair ? [1] : []

    content {
      sid       = "MoveTheAliases"
      actions   = ["lambda:PublishVersion", "lambda:GetAlias", "lambda:UpdateAlias"]
      resources = [aws_lambda_function.export.arn, "${aws_lambda_function.export.arn}:*"]
    }
  }

  dynamic "statement" {
    for_each = var.alias_pair ? [1] : []

    content {
      sid = "PrepareTheIdleAlias"
      actions = [
        "lambda:CreateFunctionUrlConfig",
        "lambda:GetPolicy",
        "lambda:AddPermission",
      ]
      resources = [for alias in aws_lambda_alias.export : alias.arn]
    }
  }

  dynamic "statement" {
    for_each = var.rest_api ? [1] : []

    content {
      sid     = "ReadTheRestApi"
      actions = ["apigateway:GET"]
      resources = [
        local.rest,
        "${local.rest}/resources",
        "${local.rest}/resources/*",
        local.rest_stage,
        "${local.rest_stage}/exports/*",
        "${local.rest}/deployments/*",
      ]
    }
  }

  dynamic "statement" {
    for_each = var.rest_api ? [1] : []

    content {
      sid       = "ChangeTheRestApi"
      actions   = ["apigateway:PATCH"]
      resources = [local.rest_integration, local.rest_stage]
    }
  }

  dynamic "statement" {
    for_each = var.rest_api ? [1] : []

    content {
      sid       = "DeployTheRestApi"
      actions   = ["apigateway:POST"]
      resources = ["${local.rest}/deployments"]
    }
  }

  dynamic "statement" {
    for_each = var.http_api ? [1] : []

    content {
      sid     = "ReadTheHttpApi"
      actions = ["apigateway:GET"]
      resources = [
        local.http_integration,
        local.http_stage,
        "${local.http}/routes",
        "${local.http}/exports/*",
        "${local.http}/deployments/*",
      ]
    }
  }

  dynamic "statement" {
    for_each = var.http_api ? [1] : []

    content {
      sid       = "ChangeTheHttpApi"
      actions   = ["apigateway:PATCH"]
      resources = [local.http_integration, local.http_stage]
    }
  }

  dynamic "statement" {
    for_each = var.http_api ? [1] : []

    content {
      sid       = "DeployTheHttpApi"
      actions   = ["apigateway:POST"]
      resources = ["${local.http}/deployments"]
    }
  }

  dynamic "statement" {
    for_each = var.secret_id == "" ? [] : [1]

    content {
      sid = "KeepTheSecret"
      actions = [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
      ]
      resources = [var.secret_id]
    }
  }
}
