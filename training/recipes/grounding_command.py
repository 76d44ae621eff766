"""`vla-edge train-grounding`: its options, and what it prints.

What needs torch is imported once the arguments are read: --help answers without it.
"""

from pathlib import Path

from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float, positive_int
from edge.commands.output import ProgressLine, figure, print_json
from edge.errors import UsageError
from training.recipes.recipe import GrounderRecipe

# What `training.recipes.grounder.validate` returns, for people.
_SCORES = {"found": "found", "found_10px": "found of 10 px and more", "false": "false positives"}


def main(argv: list[str] | None = None) -> int:
    """Run `vla-edge train-grounding` and return the exit code."""
    a = _parser().parse_args(argv)
    if a.start is not None and not (a.start / "model.safetensors").is_file():
        raise UsageError(
            f"no model.safetensors in {a.start}", "--start takes the --out folder of another run"
        )
    recipe = GrounderRecipe(
        seed=a.seed,
        vision_steps=a.vision_steps,
        steps=a.steps,
        learning_rate=a.learning_rate,
        sigma_bins=(a.sigma[0], a.sigma[1]),
    )
    from training.recipes.grounding import GrounderTrainer

    trainer = GrounderTrainer(a.data, a.val, a.out, recipe, compiled=not a.no_compile)
    if a.start is not None:
        trainer.start_from(a.start)
    if a.resume:
        trainer.resume()
    with ProgressLine() as progress:
        scores = trainer.run(lambda step, total, more: progress.show("steps", step, total, more))
    if a.json:
        print_json({"out": str(a.out), "steps": trainer.step, "validation": scores or None})
        return 0
    shown = ", ".join(f"{_SCORES[name]} {figure(value)}" for name, value in scores.items())
    print(f"{a.out}: {trainer.step} steps" + (f"; in held-out rooms: {shown}" if shown else ""))
    print(f"the curve is in {a.out / 'curve.jsonl'}")
    print(f"next: vla-edge export {a.out} --out BUNDLE")
    return 0


def _parser() -> ArgumentParser:
    default = GrounderRecipe()
    p = ArgumentParser("train-grounding", "Train the default grounding model.")
    p.add_argument("--data", type=Path, required=True, help="folder of `python -m sim.dataset` to learn from")
    p.add_argument("--val", type=Path, required=True, help="another such folder, to judge by")
    p.add_argument("--out", type=Path, required=True, help="folder of checkpoint and curve")
    p.add_argument("--seed", type=non_negative_int, default=default.seed, help="seed (%(default)s)")
    p.add_argument(
        "--vision-steps",
        type=non_negative_int,
        default=default.vision_steps,
        help="steps of the vision tower alone (%(default)s)",
    )
    p.add_argument("--steps", type=positive_int, default=default.steps, help="steps of the net (%(default)s)")
    p.add_argument(
        "--learning-rate",
        type=positive_float,
        default=default.learning_rate,
        help="highest learning rate (%(default)g)",
    )
    p.add_argument(
        "--sigma",
        type=positive_float,
        nargs=2,
        default=default.sigma_bins,
        help="width of the soft targets in bins, first and last ({:g} {:g})".format(*default.sigma_bins),
    )
    p.add_argument("--start", type=Path, help="checkpoint whose weights the run starts with")
    p.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    p.add_argument(
        "--no-compile", action="store_true", help="do not use torch.compile, which needs a C++ compiler"
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p
