"""Three tasks of Luigi, each of which needs the one before; "in-place" writes the file itself, "synced" syncs it."""

import os
import sys

import luigi

directory, options = sys.argv[1], sys.argv[2:]


class Step(luigi.Task):
    number = luigi.IntParameter()

    def requires(self) -> list["Step"]:
        return [Step(self.number - 1)] if self.number else []

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"{directory}/step-{self.number}.txt")

    def run(self) -> None:
        with open(self.output().path, "w") if "in-place" in options else self.output().open("w") as file:
            file.write(f"step {self.number}\n" * 1000)
            if "synced" in options:
                file.flush()
                os.fsync(file.fileno())
        if "synced" in options:
            os.fsync(os.open(directory, os.O_RDONLY))


sys.exit(0 if luigi.build([Step(2)], local_scheduler=True) else 1)
