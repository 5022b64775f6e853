"""Tries a server that is running: TensorFlow Serving, or `python -m sperm_tf.serving.serve`.

    python deploy/smoke_test.py --target=http://localhost:8501 --model_name=sperm_smids
    python deploy/smoke_test.py --target=http://localhost:8501 --model_name=sperm_smids --label=canary --explain

Prints a line for each check; the exit status is 1 where one failed. Needs sperm_tf, and neither TensorFlow nor Keras.
"""

from __future__ import annotations

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy as np

from sperm_tf.data.decode import encode_png
from sperm_tf.serving import client, replies


class Server:
    """The server under test; every method is a check that raises AssertionError or `client.ServingError`."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.url = f"{options.target.rstrip('/')}/v1/models/{urllib.parse.quote(options.model_name)}"
        if options.label:
            self.url += f"/labels/{urllib.parse.quote(options.label)}"
        self.images = [path.read_bytes() for path in options.images] or [_draw(seed) for seed in range(3)]

    def state_is_available(self) -> None:
        """The model is loaded."""
        code, reply = self.call(self.url)
        states = {one["version"]: one["state"] for one in reply["model_version_status"]}
        assert code == 200 and "AVAILABLE" in states.values(), f"HTTP {code}: {reply}"

    def images_are_predicted(self) -> None:
        """Every image has a prediction that is one."""
        found = self.predict(self.images)
        assert all(one.status == "ok" for one in found), [one.status for one in found]
        for one in found:
            print(f"      {one.predicted_class} {max(one.probabilities.values()):.3f}, {one.decision} ({one.reason})")

    def a_bad_file_harms_no_other(self) -> None:
        """Rows do not depend on each other."""
        alone = self.predict(self.images[:1])[0]
        first, bad, last = self.predict([self.images[0], b"no image", self.images[0]])
        assert bad.status == "unknown_format" and bad.decision == "refer", bad
        for one in (first, last):
            difference = max(abs(one.probabilities[name] - alone.probabilities[name]) for name in alone.probabilities)
            assert difference < 1e-3, f"probabilities differ by {difference}"

    def columns_are_the_rows(self) -> None:
        """The column format says what the row format says."""
        content = [{"b64": base64.b64encode(image).decode()} for image in self.images]
        _, rows = self.call(f"{self.url}:predict", {"instances": content})
        _, columns = self.call(f"{self.url}:predict", {"inputs": {"image_bytes": content}})
        names = list(columns["outputs"])
        for row, values in zip(rows["predictions"], zip(*columns["outputs"].values(), strict=True), strict=True):
            one, other = replies.read_row(row), replies.read_row(dict(zip(names, values, strict=True)))
            assert (one.predicted_class, one.decision) == (other.predicted_class, other.decision)

    def errors_have_their_codes(self) -> None:
        """An unknown model is 404, a malformed request 400."""
        other = f"{self.options.target.rstrip('/')}/v1/models/no_such_model:predict"
        for url, body, expected in ((other, {"instances": ["x"]}, 404), (f"{self.url}:predict", {}, 400)):
            code, reply = self.call(url, body)
            assert code == expected and reply.get("error"), f"HTTP {code} instead of {expected}: {reply}"

    def maps_are_served(self) -> None:
        """With --explain: attribution maps come."""
        if self.options.explain:
            (found,) = self.predict(self.images[:1], signature="explain")
            assert found.maps, "the signature explain has no maps"

    def predict(self, images, **more):
        """Predicts by the client, which checks every row."""
        options = self.options
        names = {"target": options.target, "model_name": options.model_name, "label": options.label}
        return client.predict(images, **names, timeout_s=options.timeout_s, **more)

    def call(self, url, body=None):
        """Code and JSON of a reply."""
        content = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, content), timeout=self.options.timeout_s) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


def _draw(seed: int) -> bytes:
    """A PNG of a dark ellipse on a grey background: something that every model reads, and none was trained on."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    is_inside = (x / (0.3 + 0.1 * seed)) ** 2 + (y / 0.4) ** 2 < 1
    return encode_png(np.where(is_inside[..., None], [90, 60, 120], [200, 190, 195]).astype(np.uint8))


def main(arguments: list[str] | None = None) -> int:
    """Runs every check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=pathlib.Path, help="PNG, JPEG, BMP or GIF files; without, drawn ones")
    parser.add_argument("--target", required=True, help="http://host:8501")
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--label", help="version label, such as canary")
    parser.add_argument("--explain", action="store_true", help="ask for maps, too")
    parser.add_argument("--timeout_s", type=float, default=60.0)
    server = Server(parser.parse_args(arguments))
    checks = (
        server.state_is_available,
        server.images_are_predicted,
        server.a_bad_file_harms_no_other,
        server.columns_are_the_rows,
        server.errors_have_their_codes,
        server.maps_are_served,
    )
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check()
            print(f"ok    {name}")
        except (AssertionError, OSError, ValueError, KeyError, client.ServingError) as error:
            failed += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
