"""Which published keys may verify, and which are left out with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from snowgate.identity.keys import UnfitKeys, parse_key_set
from snowgate.testing.tokens import SigningKey

RSA_KEY = SigningKey.generate("RS256")
EC_KEY = SigningKey.generate("ES256")


def small_rsa() -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "small"}


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "encryption": (RSA_KEY.jwk() | {"use": "enc"}, "not for signatures"),
    "signing only": (RSA_KEY.jwk() | {"key_ops": ["sign"]}, "not for verifying"),
    "shared secret": ({"kty": "oct", "k": "AAAA"}, "shared secret"),
    "private": (RSA_KEY.jwk() | {"d": "AAAA"}, "private key"),
    "no kind": ({"kid": "x"}, "unknown kind"),
    "unknown curve": (EC_KEY.jwk() | {"crv": "secp256k1"}, "unknown kind"),
    "wrong algorithm": (EC_KEY.jwk() | {"alg": "RS256"}, "does not fit"),
    "symmetric algorithm": (RSA_KEY.jwk() | {"alg": "HS256"}, "does not fit"),
    "strange id": (RSA_KEY.jwk() | {"kid": 7}, "not text"),
    "off the curve": (EC_KEY.jwk() | {"x": "AAAA"}, "malformed"),
    "no modulus": ({"kty": "RSA", "e": "AQAB"}, "malformed"),
    "modulus of another type": ({"kty": "RSA", "e": "AQAB", "n": 7}, "malformed"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_an_unfit_key_is_left_out_and_the_others_stay(kind: str) -> None:
    entry, reason = UNFIT[kind]

    keys = parse_key_set({"keys": [entry, EC_KEY.jwk()]})

    assert [key.kid for key in keys.keys] == [EC_KEY.kid]
    assert len(keys.left_out) == 1
    assert reason in keys.left_out[0]


def test_a_short_rsa_key_is_left_out() -> None:
    with pytest.raises(UnfitKeys):
        parse_key_set({"keys": [small_rsa()]})


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": ["x"]}])
def test_what_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(UnfitKeys):
        parse_key_set(document)


def test_a_key_verifies_its_own_algorithm_only() -> None:
    keys = parse_key_set({"keys": [RSA_KEY.jwk(), EC_KEY.jwk()]})

    assert keys.find(RSA_KEY.kid, "RS256") is not None
    for algorithm in ("PS256", "ES256", "HS256", "none", "EdDSA"):
        assert keys.find(RSA_KEY.kid, algorithm) is None


def test_a_key_without_algorithm_verifies_all_of_its_kind() -> None:
    entry = RSA_KEY.jwk()
    del entry["alg"]

    keys = parse_key_set({"keys": [entry]})

    assert keys.find(RSA_KEY.kid, "PS256") is not None
    assert keys.find(RSA_KEY.kid, "ES256") is None


def test_without_an_id_a_key_is_used_only_if_no_other_fits() -> None:
    one = parse_key_set({"keys": [RSA_KEY.jwk(), EC_KEY.jwk()]})
    two = parse_key_set({"keys": [RSA_KEY.jwk(), SigningKey.generate("RS256").jwk()]})

    assert one.find(None, "RS256") is not None
    assert two.find(None, "RS256") is None


def test_two_keys_of_one_id_are_not_guessed_between() -> None:
    twin = SigningKey.generate("RS256").jwk() | {"kid": RSA_KEY.kid}

    assert parse_key_set({"keys": [RSA_KEY.jwk(), twin]}).find(RSA_KEY.kid, "RS256") is None
