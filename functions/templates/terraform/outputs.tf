output "function_arn" {
  description = "For `function.name` of the secret, or `function` of an endpoint of kind lambda."
  value       = aws_lambda_function.export.arn
}

output "function_url" {
  description = "For `url` of an endpoint of kind function-url."
  value       = local.url
}

output "web_role_arn" {
  description = "For `role_arn` of endpoints."
  value       = aws_iam_role.web.arn
}

output "worker_role_arn" {
  description = "For `role_arn` of the secret's function and gateways."
  value       = aws_iam_role.worker.arn
}

output "rest_api" {
  description = "For a gateway of type rest."
  value = var.rest_api ? {
    api_id      = aws_api_gateway_rest_api.export[0].id
    resource_id = aws_api_gateway_resource.export[0].id
    stage       = aws_api_gateway_stage.export[0].stage_name
    url         = "${aws_api_gateway_stage.export[0].invoke_url}/export"
  } : null
}

output "http_api" {
  description = "For a gateway of type http."
  value = var.http_api ? {
    api_id         = aws_apigatewayv2_api.export[0].id
    integration_id = aws_apigatewayv2_integration.export[0].id
    stage          = aws_apigatewayv2_stage.export[0].name
    url            = "${aws_apigatewayv2_api.export[0].api_endpoint}/export"
  } : null
}
