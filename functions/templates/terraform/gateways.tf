# A REST API. The value stands in single quotes: without them it would be an expression.

resource "aws_api_gateway_rest_api" "export" {
  count = var.rest_api ? 1 : 0

  name = "${var.function_name}-rest"

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_resource" "export" {
  count = var.rest_api ? 1 : 0

  rest_api_id = aws_api_gateway_rest_api.export[0].id
  parent_id   = aws_api_gateway_rest_api.export[0].root_resource_id
  path_part   = "export"
}

resource "aws_api_gateway_method" "export" {
  count = var.rest_api ? 1 : 0

  rest_api_id   = aws_api_gateway_rest_api.export[0].id
  resource_id   = aws_api_gateway_resource.export[0].id
  http_method   = "GET"
  authorization = "NONE"
}

resource "aws_api_gateway_integration" "export" {
  count = var.rest_api ? 1 : 0

  rest_api_id             = aws_api_gateway_rest_api.export[0].id
  resource_id             = aws_api_gateway_resource.export[0].id
  http_method             = aws_api_gateway_method.export[0].http_method
  type                    = "HTTP_PROXY"
  integration_http_method = "GET"
  uri                     = local.url
  # Buffered, a response would end at 10 MB and after 29 seconds.
  response_transfer_mode = "STREAM"
  timeout_milliseconds   = 900000

  request_parameters = {
    "integration.request.header.x-secret-header" = "'${var.secret_value}'"
  }

  lifecycle {
    # Spillway rotates the value, and with an alias pair the address too.
    ignore_changes = [request_parameters, uri]
  }
}

resource "aws_api_gateway_deployment" "export" {
  count = var.rest_api ? 1 : 0

  rest_api_id = aws_api_gateway_rest_api.export[0].id

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_api_gateway_integration.export]
}

resource "aws_api_gateway_stage" "export" {
  count = var.rest_api ? 1 : 0

  rest_api_id   = aws_api_gateway_rest_api.export[0].id
  deployment_id = aws_api_gateway_deployment.export[0].id
  stage_name    = "prod"

  lifecycle {
    # Each rotation deploys: the first deployment holds the first value.
    ignore_changes = [deployment_id]
  }
}

# An HTTP API. The value stands raw: quotes would be sent. `overwrite:`, for `append:` would keep
# what a caller sends.

resource "aws_apigatewayv2_api" "export" {
  count = var.http_api ? 1 : 0

  name          = "${var.function_name}-http"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "export" {
  count = var.http_api ? 1 : 0

  api_id                 = aws_apigatewayv2_api.export[0].id
  integration_type       = "HTTP_PROXY"
  integration_method     = "GET"
  integration_uri        = local.url
  payload_format_version = "1.0"

  request_parameters = {
    "overwrite:header.x-secret-header" = var.secret_value
  }

  lifecycle {
    # Spillway rotates the value, and with an alias pair the address too.
    ignore_changes = [request_parameters, integration_uri]
  }
}

resource "aws_apigatewayv2_route" "export" {
  count = var.http_api ? 1 : 0

  api_id    = aws_apigatewayv2_api.export[0].id
  route_key = "GET /export"
  target    = "integrations/${aws_apigatewayv2_integration.export[0].id}"
}

resource "aws_apigatewayv2_stage" "export" {
  count = var.http_api ? 1 : 0

  api_id      = aws_apigatewayv2_api.export[0].id
  name        = "$default"
  auto_deploy = true
}
