"""`python -m dfdc_lightning.app run=RUN`: a page on this machine where a dropped video becomes a verdict.

The page is served on the loopback address only, loads nothing from elsewhere, tells nobody anything, and
removes an upload as soon as it is judged.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import av

from dfdc_lightning import checks
from dfdc_lightning.arguments import arguments
from dfdc_lightning.errors import UserError
from dfdc_lightning.predict.many import ENDINGS
from dfdc_lightning.predict.predictors import Predictor, open_predictor
from dfdc_lightning.predict.scan import SECONDS
from dfdc_lightning.predict.session import Options, look, recorded
from dfdc_lightning.predict.verdict import RULES, Rules
from dfdc_lightning.predict.verdict_page import body
from dfdc_lightning.runs import command
from dfdc_lightning.video.packets import opened, survey

_INTRO = (
    "# Is this face swapped?\n"
    "Drop a video. It is judged on this machine, goes nowhere else, and is removed afterwards. "
    "At most {seconds} seconds and {megabytes} MB."
)


class VerdictService:
    """Gives one upload after the other its verdict.

    Args:
        predictor: The model.
        options: How to answer, and whether to scan.
        run: What `run=` named.
        seconds: Longer videos are sent back.
        megabytes: Larger files are sent back.
        face_model: The face detector's file, where the user gave one.
    """

    def __init__(
        self,
        predictor: Predictor,
        options: Options,
        run: Path,
        seconds: int,
        megabytes: int,
        face_model: str | None = None,
    ) -> None:
        self.predictor, self.options, self.run, self.face_model = predictor, options, run, face_model
        self.look = look(predictor, options, face_model)
        self.seconds, self.megabytes = seconds, megabytes

    def verdict(self, upload: Path) -> str:
        """Return HTML for an upload, its verdict or the reason why it gets none, and delete the upload."""
        try:
            self._refuse_long(upload)
            seen = self.look(upload)
            return body(recorded(seen, self.predictor, self.run, self.options, self.face_model, maps=True))
        except UserError as error:
            sentence = str(error).replace(str(upload), upload.name)
            return f'<p role="alert"><strong>No verdict:</strong> {escape(sentence)}</p>'
        finally:
            upload.unlink(missing_ok=True)

    def _refuse_long(self, upload: Path) -> None:
        if not upload.is_file():  # the same file lies in the same place, whoever drops it
            raise UserError(f"{upload} was dropped twice and removed with the other verdict: drop it again")
        try:
            with opened(upload) as container:
                said = (container.duration or 0) / av.time_base
            seconds = max(said, survey(upload).seconds)  # what is streamed does not say how long it takes
        except (av.FFmpegError, OSError) as error:
            reason = error.strerror or error
            raise UserError(f"{upload} cannot be read as a video: {reason}") from None
        if seconds > self.seconds:
            raise UserError(
                f"{upload} takes {seconds:.0f} seconds, at most {self.seconds} are looked at: cut it"
            )


@contextmanager
def serving(service: VerdictService, port: int | None) -> Iterator[str]:
    """Serve the page while the block runs; uploads lie in a folder of their own that goes with it.

    Args:
        service: What gives verdicts.
        port: On the loopback address; None takes a free one.

    Yields:
        The page's address.

    Raises:
        UserError: When the extra `app` is not installed or the port is taken.
    """
    uploads = tempfile.mkdtemp(prefix="dfdc-lightning-uploads-")
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads, "HF_HUB_OFFLINE": "1"}
    try:
        blocks, gradio = _page(service)
        try:
            _, address, _ = blocks.launch(
                server_name="127.0.0.1",
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=service.megabytes * 2**20,
                ssr_mode=False,
                run_history=False,
                footer_links=[],
                theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            )
        except OSError:
            raise UserError(f"port={port} is taken or not allowed: give another one") from None
        try:
            yield address
        finally:
            blocks.close(verbose=False)
    finally:
        shutil.rmtree(uploads, ignore_errors=True)


def _page(service: VerdictService) -> tuple[Any, Any]:
    try:
        import gradio
    except ModuleNotFoundError:
        raise UserError("the page needs gradio: pip install 'dfdc-lightning[app]'") from None

    def judged(upload: str | None) -> tuple[None, str]:
        return None, "" if upload is None else service.verdict(Path(upload))

    blocks = gradio.Blocks(title="dfdc_lightning", analytics_enabled=False, delete_cache=(60, 600))
    with blocks:
        gradio.Markdown(_INTRO.format(seconds=service.seconds, megabytes=service.megabytes))
        upload = gradio.File(label="Video", file_types=list(ENDINGS), height=140)
        result = gradio.HTML()
        upload.upload(judged, upload, [upload, result], api_visibility="private")
    blocks.queue(max_size=8, default_concurrency_limit=1)
    return blocks, gradio


def main() -> None:
    """Serve until stopped, by Ctrl-C or otherwise: uploads are removed in any case."""
    given = arguments(
        sys.argv[1:],
        {
            "run": None,
            "error": f"{RULES.error:g}",
            "threshold": "",
            "scan": "false",
            "window": f"{SECONDS:g}",
            "port": "7860",
            "seconds": "120",
            "megabytes": "200",
            "face_detector.model": "",
        },
    )
    seconds, megabytes = (checks.whole(key, _number(given[key]), 1) for key in ("seconds", "megabytes"))
    port = checks.whole("port", _number(given["port"]), 1, 2**16 - 1)
    threshold = _number(given["threshold"]) if given["threshold"] else None
    options = Options(
        Rules(_number(given["error"]), threshold),  # type: ignore[arg-type]
        scan=checks.one_of("scan", given["scan"], ("true", "false")) == "true",
        window=_number(given["window"]),  # type: ignore[arg-type]
    )
    options.check()
    run = Path(given["run"])
    service = VerdictService(
        open_predictor(run), options, run, seconds, megabytes, given["face_detector.model"] or None
    )
    service.predictor.load()
    service.look.preparation.ready()
    end_on_signals()
    with serving(service, port) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"{address}  (stop with Ctrl-C)", flush=True)
        threading.Event().wait()


def end_on_signals() -> None:
    """Let whatever asks this process to end do so in order; a shell's background would ignore SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _number(text: str) -> int | float | str:
    """Read a text as a number; a text that spells none goes on to the check, which refuses it."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    command(main)
