"""Processor time of a one-partition run beside bare Dagster: `python -m tests.benchmarks.runs`.

The main job makes an ordinary shift date from a sandbox in a process of its own. Beside it run jobs of assets that do
nothing but write three rows by pyarrow's own choices: one with the same steps, assets and checks, and one with a single
asset. Each run has a fresh process, as Dagster gives it one, and a storage that is there already; measured is the run
alone, with modules and definitions loaded. The least of some rounds counts.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import JOB, shift_dates
from clopos_assets.settings import Settings
from tests.benchmarks.figure import Figure, show
from tests.benchmarks.served import SHIFT_DATE, served_apart

PRODUCT, SAME_SHAPE, ONE_ASSET = "product", "same shape", "one asset"
_ROWS = pa.table({"id": [1, 2, 3], "amount": [1.0, 2.0, 3.0]})


def product(settings: Settings) -> dg.Definitions:
    """The project's own."""
    return build_definitions(settings)


def same_shape(settings: Settings) -> dg.Definitions:
    """Steps, assets and checks as the project's, that do nothing."""
    days = shift_dates(settings)
    made = build_definitions(settings)
    bare: list[dg.AssetsDefinition] = []
    for definition in made.assets or ():
        assert isinstance(definition, dg.AssetsDefinition)
        bare.append(_bare(definition, days, settings))
    checks = [_bare_checks(definition) for definition in made.asset_checks or ()]
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.assets(*bare))
    return dg.Definitions(assets=bare, asset_checks=checks, jobs=[job], executor=dg.in_process_executor)


def one_asset(settings: Settings) -> dg.Definitions:
    """A single asset."""

    @dg.asset(partitions_def=shift_dates(settings))
    def rows(context: dg.AssetExecutionContext) -> dg.MaterializeResult[object]:
        _write(settings, "rows", context.partition_key)
        return dg.MaterializeResult()

    job = dg.define_asset_job(JOB, selection=[rows])
    return dg.Definitions(assets=[rows], jobs=[job], executor=dg.in_process_executor)


MAKERS: dict[str, Callable[[Settings], dg.Definitions]] = {
    PRODUCT: product,
    SAME_SHAPE: same_shape,
    ONE_ASSET: one_asset,
}


def _bare(like: dg.AssetsDefinition, days: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(spec.key, deps=[dep.asset_key for dep in spec.deps], partitions_def=days) for spec in like.specs
    ]

    @dg.multi_asset(name=like.op.name, specs=specs, check_specs=list(like.check_specs))
    def nothing(context: dg.AssetExecutionContext) -> Iterator[object]:
        for spec in specs:
            _write(settings, spec.key.to_user_string(), context.partition_key)
            yield dg.MaterializeResult(asset_key=spec.key)
        for check in like.check_specs:
            yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)

    return nothing


def _bare_checks(like: Any) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name=like.op.name, specs=list(like.check_specs))
    def nothing() -> Iterator[dg.AssetCheckResult]:
        for check in like.check_specs:
            yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)

    return nothing


def _write(settings: Settings, name: str, shift_date: str) -> None:
    folder = Path(settings.lake) / name / f"shift_date={shift_date}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(_ROWS, folder / "part-0.parquet")


def _run(kind: str, environment: dict[str, str], root: Path) -> tuple[float, list[int]]:
    """Processor seconds of one run, and how many steps, materializations and checks it recorded."""
    os.environ.update(environment, CLOPOS_LAKE=str(root / "lake"))
    warnings.simplefilter("ignore")
    with open(os.devnull, "w") as nowhere, dg.DagsterInstance.local_temp(str(root)) as instance:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
        instance.get_run_records(limit=1)
        job = MAKERS[kind](Settings.read()).resolve_job_def(JOB)
        begun = time.process_time()
        result = job.execute_in_process(instance=instance, partition_key=str(SHIFT_DATE))
        seconds = time.process_time() - begun
        assert result.success
        events = [event.event_type_value for event in result.all_events]
    recorded = ("STEP_SUCCESS", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION")
    return seconds, [events.count(name) for name in recorded]


def run_apart(kind: str, environment: dict[str, str], root: Path) -> tuple[float, list[int]]:
    """`_run` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(_run, kind, environment, root).result()


def measure(root: Path, receipts: int, rounds: int) -> dict[str, float]:
    """The least processor seconds of a run of each kind."""
    seconds: dict[str, list[float]] = {kind: [] for kind in MAKERS}
    with served_apart(receipts) as environment:
        for turn in range(rounds):
            shapes = {}
            for kind in MAKERS:
                place = root / f"{kind} {turn}"
                place.mkdir()
                taken, shapes[kind] = run_apart(kind, environment, place)
                seconds[kind].append(taken)
            assert shapes[PRODUCT] == shapes[SAME_SHAPE], shapes
    return {kind: min(taken) for kind, taken in seconds.items()}


def figures(seconds: dict[str, float]) -> Iterator[Figure]:
    """The product's run over bare ones."""
    ours = seconds[PRODUCT]
    for kind, name, goal in (
        (SAME_SHAPE, "a one-partition run over bare Dagster, same steps and checks", 1.5),
        (ONE_ASSET, "  over a bare run of a single asset", None),
    ):
        yield Figure(name, ours / seconds[kind], goal, f"{ours:.2f} s / {seconds[kind]:.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receipts", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind, of which the least counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        seconds = measure(Path(root), options.receipts, options.rounds)
    show(f"One shift date of {options.receipts} receipts", figures(seconds))


if __name__ == "__main__":
    main()
