"""Writes vectors.txt: one plain text as Cluster Serving's tools and as this crate encrypt it, by Python's `cryptography`.

    .venv/bin/python crates/vault/tests/make_vectors.py

What is random elsewhere is fixed here, so that the file is the same every time.
"""

import base64
import hashlib
import pathlib

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PLAIN = b'<net name="digits"/>\n\x00\x80\xff\xfe weights'
SECRET = b"correct horse battery staple"
SALT = b"pinch of salt"
VECTOR = bytes(range(16))


def encrypt(plain: bytes, bits: int, vector: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", SECRET, SALT, 65536, bits // 8)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def seal(plain: bytes) -> bytes:
    """The format of src/sealed.rs, with small chunks and few iterations."""
    salt, prefix, iterations, chunk = bytes(range(16)), bytes(range(7)), 1000, 16
    header = b"MRVAULT1" + iterations.to_bytes(4, "big") + chunk.to_bytes(4, "big") + salt + prefix
    cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", SECRET, salt, iterations, 32))
    nonce = lambda number, kind: prefix + number.to_bytes(4, "big") + bytes([kind])  # noqa: E731
    sealed = header + cipher.encrypt(nonce(0, 2), b"", header)
    chunks = [plain[start : start + chunk] for start in range(0, len(plain), chunk)]
    for number, content in enumerate(chunks):
        is_last = number + 1 == len(chunks)
        sealed += cipher.encrypt(nonce(number, int(is_last)), content, header)
    return sealed


def main() -> None:
    detour = PLAIN.decode("iso-8859-1").encode("utf-8")
    files = {
        "scala-128": VECTOR + encrypt(detour, 128, VECTOR),
        "scala-256": VECTOR + encrypt(detour, 256, VECTOR),
        "bytes-128": VECTOR + encrypt(PLAIN, 128, VECTOR),
        "zero-vector-256": encrypt(detour, 256, bytes(16)),
        "sealed": seal(PLAIN),
    }
    lines = [f"{name} {base64.b64encode(file).decode()}\n" for name, file in files.items()]
    pathlib.Path(__file__).with_name("vectors.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
