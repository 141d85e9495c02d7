"""What IAM says that a user may do: of several resources at once, as AWS words it."""

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.settings import ACCOUNT
from tests.sandbox.conftest import Running

ONE, OTHER = (f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{name}" for name in ("one", "other"))


def test_each_resource_has_its_own_decision_and_who_is_not_there_is_unknown(
    usual: Running,
) -> None:
    iam = usual.aws.client("iam")
    arn = iam.create_user(UserName="ada", Path="/people/")["User"]["Arn"]
    statement = {"Effect": "Allow", "Action": "lambda:Get*", "Resource": ONE}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="ada", PolicyName="read", PolicyDocument=policy)

    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["lambda:GetPolicy", "lambda:UpdateAlias"],
        ResourceArns=[ONE, OTHER],
    )

    assert {
        (told["EvalActionName"], one["EvalResourceName"]): one["EvalResourceDecision"]
        for told in answer["EvaluationResults"]
        for one in told["ResourceSpecificResults"]
    } == {
        ("lambda:GetPolicy", ONE): "allowed",
        ("lambda:GetPolicy", OTHER): "implicitDeny",
        ("lambda:UpdateAlias", ONE): "implicitDeny",
        ("lambda:UpdateAlias", OTHER): "implicitDeny",
    }
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.simulate_principal_policy(
            PolicySourceArn=arn.replace("/people/", "/"), ActionNames=["lambda:GetPolicy"]
        )
