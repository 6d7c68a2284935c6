"""What an error says: the message, and once what to do about it, however it has travelled."""

from __future__ import annotations

import pickle
import traceback

import pytest

from deploy_core.errors import DeployError, UsageError, further


def test_a_traceback_says_what_to_do() -> None:
    told = "".join(traceback.format_exception_only(UsageError("no format tfl", hint="did you mean tflite?")))
    assert told == "deploy_core.errors.UsageError: no format tfl\nhint: did you mean tflite?\n"
    assert str(UsageError("no format tfl", hint="did you mean tflite?")) == "no format tfl"


@pytest.mark.parametrize("hint", ["did you mean tflite?", ""])
def test_notes_come_back_from_a_worker_once(hint: str) -> None:
    error = UsageError("no format tfl", hint=hint)
    error.add_note("the end of the log")
    copied: DeployError = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    assert (type(copied), str(copied), copied.hint) == (UsageError, "no format tfl", hint)
    assert copied.__notes__ == error.__notes__ == [f"hint: {hint}"] * bool(hint) + ["the end of the log"]
    assert further(copied) == ["the end of the log"]
