from __future__ import annotations

from datetime import datetime, timezone

from pytest_scf_async.model.credentials import CREDENTIAL_HEADERS, role_credentials

START_US = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000


def test_placeholders_name_the_time_six_hours_after_they_were_issued():
    assert role_credentials(START_US) == {
        "TENCENTCLOUD_SESSIONTOKEN": "scf-async-session-token-until-20260101T060000Z",
        "TENCENTCLOUD_SECRETID": "scf-async-secret-id-until-20260101T060000Z",
        "TENCENTCLOUD_SECRETKEY": "scf-async-secret-key-until-20260101T060000Z",
    }


def test_those_of_another_second_are_others_and_a_part_of_one_is_cut_off():
    assert role_credentials(START_US + 1_999_999) == role_credentials(START_US + 1_000_000)
    assert role_credentials(START_US + 1_000_000) != role_credentials(START_US)


def test_what_a_caller_changes_is_its_own():
    role_credentials(START_US).clear()
    assert role_credentials(START_US)


def test_images_get_the_same_in_headers():
    assert set(CREDENTIAL_HEADERS.values()) == set(role_credentials(START_US))
