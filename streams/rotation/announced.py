"""Which calls of AWS a rotation would make, told beforehand. Nothing here calls anything."""

from collections.abc import Iterator

from streams.aws.gateways import RestIntegration
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.gap import Watched
from streams.rotation.pair import Prepare, RetireAlias
from streams.rotation.plan import PairParts, Parts
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import Admit, Replace, Retire, Step, SwitchGateway
from streams.rotation.store import KeepInStore, SwitchStore


def reads(made: Parts | PairParts) -> Iterator[str]:
    """What is looked at, before anything is changed and again after each change."""
    if isinstance(made, PairParts):
        aliases = " and ".join(made.pair.aliases)
        yield f"GetFunctionConfiguration, GetAlias, GetFunctionUrlConfig and GetPolicy of {aliases}"
    else:
        environment = made.environment
        alias = f", GetAlias of {environment.alias}" if environment.alias else ""
        yield (
            f"GetFunctionConfiguration of {environment.function.name}{alias}, and "
            "GetFunctionUrlConfig where no export tells its URL"
        )
        for probe in made.probes:
            yield f"{probe.whom}, by requests for one byte"
    for gateway in made.gateways:
        asked = ", and requests through it" if gateway.probe else ""
        yield f"{_looks(gateway)} of {gateway.name}{asked}"
    if isinstance(made, Parts) and made.store:
        yield f"DescribeSecret and GetSecretValue of {made.store.name}"


def _looks(gateway: GatewaySender) -> str:
    if isinstance(gateway.integration, RestIntegration):
        return "GetIntegration, GetStage, GetExport, GetResource and GetResources"
    return "GetIntegration, GetStage and ExportApi"


def changes(step: Step) -> str:
    """The calls that change something, in their order; empty for a step that makes none."""
    match step:
        case Watched():
            return changes(step.step)
        case Admit() | Replace() | Retire():
            return _of_environment(step.environment)
        case SwitchGateway():
            return _of_gateway(step.gateway)
        case KeepInStore():
            return f"PutSecretValue of {step.store.name}, or CreateSecret where there is none"
        case SwitchStore():
            return f"UpdateSecretVersionStage of {step.store.name}"
        case Prepare():
            return (
                "UpdateFunctionConfiguration, PublishVersion, UpdateAlias of the alias that is "
                "idle, and where they are missing CreateFunctionUrlConfig and AddPermission"
            )
        case RetireAlias():
            return "PublishVersion, which makes no second one, and UpdateAlias of the other alias"
    return ""


def _of_environment(environment: FunctionEnvironment) -> str:
    name, variable = environment.function.name, environment.variable
    also = f", PublishVersion, UpdateAlias of {environment.alias}" if environment.alias else ""
    return (
        f"UpdateFunctionConfiguration of {name}, in which {variable} and {variable}_NEXT alone "
        f"change{also}"
    )


def _of_gateway(gateway: GatewaySender) -> str:
    return (
        f"UpdateIntegration of {gateway.name} and CreateDeployment, unless the stage deploys by "
        "itself; UpdateStage alone, where a stage variable holds the value"
    )
