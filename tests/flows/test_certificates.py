"""Files of CA certificates: a wrong one has a named error, and one variable counts for AWS unless AWS has its own."""

from pathlib import Path

import pytest
import trustme

from flows.certificates import check_certificates, set_aws_certificates
from flows.credential_values import check_environment, strip_environment
from flows.errors import InvalidCertificates

FILES = (
    "SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
)  # fmt: skip
PROFILES = """
[default]
region = us-east-1
[profile with-ca]
ca_bundle = /company.pem
"""

BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def ca(tmp_path: Path) -> str:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(InvalidCertificates, match=rf"^{name} is '/no/ca\.pem': .*No such file.*unset it$"):
        check_environment({name: "/no/ca.pem"})


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_certificates_is_accepted(name: str, ca: str) -> None:
    check_environment({name: ca})
    check_environment({name: str(Path(ca).parent)})
    check_environment({name: ""})


@pytest.mark.parametrize("content", ["", "no certificate\n", BROKEN],
                         ids=["empty", "text", "broken"])  # fmt: skip
def test_a_file_without_a_certificate_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(InvalidCertificates, match=r"SSL_CERT_FILE is '.*ca\.pem': the file holds no certificate"):
        check_certificates({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})


def test_all_variables_with_the_same_wrong_file_are_named() -> None:
    with pytest.raises(InvalidCertificates, match=r"^SSL_CERT_FILE, PIP_CERT is '/no/ca\.pem'"):
        check_certificates({"PIP_CERT": "/no/ca.pem", "SSL_CERT_FILE": "/no/ca.pem"})


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "GIT_SSL_CAPATH"])
def test_a_folder_that_does_not_exist_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCertificates, match=rf"{name} is '/no/folder'"):
        check_certificates({name: "/no/folder"})
    check_certificates({name: str(tmp_path)})


@pytest.mark.parametrize(
    ("variables", "bundle"),
    [
        ({}, "/all.pem"),
        ({"AWS_PROFILE": "with-ca"}, None),
        ({"AWS_DEFAULT_PROFILE": "with-ca"}, None),
        ({"AWS_PROFILE": "unknown"}, "/all.pem"),
        ({"AWS_PROFILE": "with-ca", "AWS_CA_BUNDLE": "/aws.pem"}, "/aws.pem"),
        ({"AWS_CA_BUNDLE": ""}, "/all.pem"),
        ({"REQUESTS_CA_BUNDLE": "/other.pem"}, None),
    ],
    ids=str,
)
def test_the_certificates_for_all_count_for_aws_unless_aws_has_its_own(
    variables: dict[str, str], bundle: str | None, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(PROFILES)
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    environment = {"SSL_CERT_FILE": "/all.pem", **files, **variables}
    strip_environment(environment)
    assert environment.get("AWS_CA_BUNDLE") == bundle


@pytest.mark.parametrize("content", ["no section\n", "[profile x\n", "\xff"], ids=["no section", "broken", "not UTF-8"])
def test_a_file_of_profiles_that_cannot_be_read_is_left_to_awss_library(content: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(content, encoding="latin-1")
    environment = {"SSL_CERT_FILE": "/all.pem", "AWS_CONFIG_FILE": str(tmp_path / "config")}
    set_aws_certificates(environment)
    assert environment["AWS_CA_BUNDLE"] == "/all.pem"
