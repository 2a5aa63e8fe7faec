"""Reads the content credentials (C2PA) that a file may carry: shown beside the answer, never a part of it.

A signature says that the file is as somebody signed it. Who that is, a certificate says; this program holds
no list of trusted ones, so that at best the credentials are "Valid", and nothing is fetched from elsewhere.
"""

import json
import mmap
from pathlib import Path
from typing import Any

_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_LACKING = "its content credentials cannot be read without an extra: pip install 'dfdc-lightning[c2pa]'"
_STORE = b"jumdc2pa"  # the description box of a JUMBF superbox whose type is C2PA's
_UNTRUSTED = "signingCredential.untrusted"


def credentials(path: Path) -> dict[str, Any]:
    """Read a file's content credentials, as JSON values.

    Returns:
        `state` is "absent", "unread" (with a `note`), or the validation state, and then `signer`, `issuer`,
        `program`, `time`, and `problems`, the codes of what did not validate.
    """
    if not _carries(path):
        return {"state": "absent"}
    try:
        import c2pa
    except ModuleNotFoundError:
        return {"state": "unread", "note": _LACKING}
    try:
        with c2pa.Context(c2pa.Settings.from_dict(_OFFLINE)) as context:
            reader = c2pa.Reader.try_create(path, context=context)
            if reader is None:
                return {"state": "absent"}
            with reader:
                return _read(json.loads(reader.json()), str(reader.get_validation_state()))
    except c2pa.C2paError as error:
        return {"state": "unread", "note": f"its content credentials cannot be read ({error})"}


def _carries(path: Path) -> bool:
    """Say whether a manifest store (C2PA specification, 11.1) begins anywhere in the file."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_STORE) >= 0


def _read(content: dict[str, Any], state: str) -> dict[str, Any]:
    manifest = content["manifests"][content["active_manifest"]]
    signature = manifest.get("signature_info") or {}
    programs = manifest.get("claim_generator_info") or [{"name": manifest.get("claim_generator")}]
    return {
        "state": state,
        "signer": signature.get("common_name"),
        "issuer": signature.get("issuer"),
        "time": signature.get("time"),
        "program": " ".join(str(programs[0][key]) for key in ("name", "version") if programs[0].get(key)),
        "problems": sorted({status["code"] for status in content.get("validation_status") or []}),
    }


def told(found: dict[str, Any]) -> str:
    """Say in a sentence or two what the credentials are worth; "" where the file has none."""
    state = found.get("state", "absent")
    if state == "absent":
        return ""
    if state == "unread":
        return str(found["note"])
    who = f"content credentials signed by {found['signer'] or 'somebody without a name'}"
    who += f" ({found['issuer']})" if found["issuer"] else ""
    who += f" with {found['program']}" if found["program"] else ""
    if state == "Invalid":
        return f"{who} do not fit the file ({', '.join(found['problems'])}): it or they were changed"
    trusted = "" if _UNTRUSTED not in found["problems"] else ", but nothing here vouches for the signer"
    return f"{who} fit the file (state {state}){trusted}; they do not change the answer"
