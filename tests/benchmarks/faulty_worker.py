"""A worker of the fuzzer whose target crashes, hangs and fails at inputs that are known, harmlessly."""

import os
import time

from benchmarks.fuzz import worker
from benchmarks.fuzz.targets import InProcess

CRASH, HANG, WRONG, RAISE = 3, 5, 6, 8


class Faulty(InProcess):
    batch = 4

    def __init__(self, folder):
        self.files = {"text": b"some text"}

    def check(self, inputs):
        outcomes = []
        for one in inputs:
            number = one.number
            if number == CRASH:
                os.abort()
            if number == HANG:
                time.sleep(60)
            if number == RAISE:
                raise LookupError("nothing there")
            outcomes.append(("ok", "it is wrong" if number == WRONG else ""))
        return outcomes


worker.TARGETS["faulty"] = Faulty
if __name__ == "__main__":
    worker.main()
