"""When a certificate ends."""

from pathlib import Path

from cryptography import x509


def certificate_end_ms(path: Path) -> int:
    """When the first certificate of a PEM file ends, in milliseconds since the epoch.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no certificate.
    """
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return round(certificate.not_valid_after_utc.timestamp() * 1000)
