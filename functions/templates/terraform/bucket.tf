resource "aws_s3_bucket_policy" "export" {
  count = var.manage_bucket_policy ? 1 : 0

  bucket = var.export_bucket
  policy = data.aws_iam_policy_document.bucket.json
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "ReadTheObject"
    actions   = ["s3:GetObject"]
    resources = [local.object_arn]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.function.arn, aws_iam_role.web.arn]
    }
  }

  statement {
    sid       = "TellThatItIsMissing"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.function.arn, aws_iam_role.web.arn]
    }
  }

  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
