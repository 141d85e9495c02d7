"""Where nothing is wrong, nothing is found."""

from tests.doctor.conftest import Clinic


def test_a_function_behind_its_url_and_two_gateways_is_found_well(clinic: Clinic) -> None:
    clinic.rest()
    clinic.http(auto_deploy=False)

    told = clinic.run()

    assert told["findings"] == []
    assert (told["ok"], clinic.status) == (True, 0)
    assert told["passed"] > 40
