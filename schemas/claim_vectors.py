"""Headers of records whose values lie in a store: what they say, and which ones must not be taken."""

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PATH = f"values/2026-11-23/{SHA256}"


def claim_vectors():
    """The headers of each claim, and what they mean; `refused` names the header that is wrong."""
    good = {
        "plain": (PATH, "20000000", SHA256),
        "shortest": ("a", "1", "0" * 64),
        "longest": ("/".join(["a" * 31] * 7 + ["b" * 31]), "9223372036854775807", "f" * 64),
        "dots-within": ("a..b/c.d-e_f", "5", SHA256),
    }
    bad = {
        "parent": ("../etc/passwd", "5", SHA256, "mr-claim"),
        "parent-within": ("values/../../etc/passwd", "5", SHA256, "mr-claim"),
        "absolute": ("/etc/passwd", "5", SHA256, "mr-claim"),
        "url": ("s3://other/bucket", "5", SHA256, "mr-claim"),
        "percent": ("values/%2e%2e/passwd", "5", SHA256, "mr-claim"),
        "backslash": ("values\\..\\passwd", "5", SHA256, "mr-claim"),
        "empty": ("", "5", SHA256, "mr-claim"),
        "empty-name": ("values//x", "5", SHA256, "mr-claim"),
        "ends-with-slash": ("values/", "5", SHA256, "mr-claim"),
        "here": ("values/./x", "5", SHA256, "mr-claim"),
        "hidden": ("values/.x", "5", SHA256, "mr-claim"),
        "null": ("values/a\0b", "5", SHA256, "mr-claim"),
        "new-line": ("values/a\n", "5", SHA256, "mr-claim"),
        "letters-of-others": ("values/ä", "5", SHA256, "mr-claim"),
        "too-deep": ("/".join("abcdefghi"), "5", SHA256, "mr-claim"),
        "too-long": ("a" * 256, "5", SHA256, "mr-claim"),
        "no-length": (PATH, None, SHA256, "mr-claim-length"),
        "no-bytes": (PATH, "0", SHA256, "mr-claim-length"),
        "negative": (PATH, "-5", SHA256, "mr-claim-length"),
        "plus": (PATH, "+5", SHA256, "mr-claim-length"),
        "no-number": (PATH, "5 MB", SHA256, "mr-claim-length"),
        "no-digest": (PATH, "5", None, "mr-claim-sha256"),
        "short-digest": (PATH, "5", SHA256[:-1], "mr-claim-sha256"),
        "upper-case-digest": (PATH, "5", SHA256.upper(), "mr-claim-sha256"),
        "no-path": (None, "5", SHA256, "mr-claim"),
    }
    names = ("mr-claim", "mr-claim-length", "mr-claim-sha256")
    vectors = []
    for name, values in good.items():
        path, length, sha256 = values
        claim = {"path": path, "length": int(length), "sha256": sha256}
        vectors.append({"name": name, "headers": dict(zip(names, values)), "claim": claim})
    for name, (*values, refused) in bad.items():
        headers = {key: value for key, value in zip(names, values) if value is not None}
        vectors.append({"name": name, "headers": headers, "refused": refused})
    return vectors
