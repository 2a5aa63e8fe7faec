"""Content credentials are shown with their signer and what they are worth, and never believed blindly."""

import datetime
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dfdc_lightning.demo.spliced import render_spliced
from dfdc_lightning.predict.credentials import credentials, told

c2pa = pytest.importorskip("c2pa", reason="the extra [c2pa] is not installed")
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
CLAIM = {
    "claim_generator_info": [{"name": "a camera", "version": "1"}],
    "title": "a video",
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": CAPTURE}]},
        }
    ],
}


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuers: ec.EllipticCurvePrivateKey
) -> bytes:
    def named(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, common),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Made in a test"),
            ]
        )

    root = name == issuer
    usage = x509.KeyUsage(not root, False, False, False, False, root, root, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(1 if root else 2)
        .not_valid_before(datetime.datetime(2024, 1, 1))
        .not_valid_after(datetime.datetime(2099, 1, 1))
        .add_extension(x509.BasicConstraints(root, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers.public_key()), critical=False
        )
    )
    if not root:
        mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(mail, critical=False)
    return builder.sign(issuers, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "plain.mp4"
    render_spliced(path, 5, None, seconds=0.5, size=(160, 120), fps=8.0)
    return path


@pytest.fixture(scope="module")
def signed(plain: Path) -> Path:
    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = certificate("signer", key, "root", root) + certificate("root", root, "root", root)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))
    out = plain.with_name("signed.mp4")
    c2pa.Builder(CLAIM).sign_file(str(plain), str(out), signer)
    return out


def test_a_signature_that_fits_is_shown_with_its_signer_and_not_trusted(signed: Path) -> None:
    found = credentials(signed)
    assert [found[key] for key in ("state", "signer", "issuer")] == ["Valid", "signer", "Made in a test"]
    assert found["program"] == "a camera 1"
    assert told(found) == (
        "content credentials signed by signer (Made in a test) with a camera 1 fit the file (state Valid), "
        "but nothing here vouches for the signer; they do not change the answer"
    )


def test_a_file_changed_after_signing_is_told(signed: Path) -> None:
    content = bytearray(signed.read_bytes())
    content[len(content) // 2] ^= 1
    changed = signed.with_name("changed.mp4")
    changed.write_bytes(content)
    found = credentials(changed)
    assert found["state"] == "Invalid" and "do not fit the file" in told(found)


def test_a_file_without_credentials_says_nothing(plain: Path) -> None:
    assert credentials(plain) == {"state": "absent"}
    assert told({"state": "absent"}) == told({}) == ""


def test_without_the_extra_one_sentence_says_what_to_install(
    plain: Path, signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert told(credentials(signed)) == (
        "its content credentials cannot be read without an extra: pip install 'dfdc-lightning[c2pa]'"
    )
    assert told(credentials(plain)) == "", "who has none is not told what to install"
