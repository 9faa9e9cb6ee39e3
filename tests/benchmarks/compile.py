"""torch.compile of the recipe's model, for separation and a training step: graph breaks and gain.

On the CPU the memory of the compiled variant includes what its compiler holds.
"""

import torch

from tests.benchmarks.measure import Variant, arguments, measure, show
from tests.benchmarks.work import TASKS, noise, recipe_model


def eager(task, conf, device, **kwargs):
    """The model as it is."""
    return TASKS[task](recipe_model(conf).to(device), **kwargs)


def compiled(task, conf, device, **kwargs):
    """The model behind torch.compile."""
    return TASKS[task](torch.compile(recipe_model(conf).to(device)), **kwargs)


def print_graph_breaks(task, conf, seconds, batch, device, **_):
    """Print how many graphs the compiler makes of the model (one is best), and why.

    The backward pass of a training step is made from the graphs of the forward pass.
    """
    model = recipe_model(conf).to(device).train(task == "training")
    with torch.set_grad_enabled(task == "training"):
        found = torch._dynamo.explain(model)(noise(seconds, batch, device))
    print(f"\n{task}: {found.graph_count} graphs, {found.graph_break_count} graph breaks")
    for reason in found.break_reasons:
        print(f"  {' '.join(reason.reason.split())[:200]}")


def main():
    """Print the graph breaks and a table for each task."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the audio")
    parser.add_argument("--batch", type=int, default=1, help="mixtures at once")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--bfloat16", action="store_true", help="under autocast")
    parser.add_argument("--conf", help="YAML file that changes keys of the recipe's conf.yml")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    for task in TASKS:
        kwargs = {name: getattr(args, name) for name in ("conf", "seconds", "batch", "device")}
        kwargs |= {"task": task, "bfloat16": args.bfloat16}
        print_graph_breaks(**kwargs)
        variants = [Variant("eager", eager, kwargs), Variant("compiled", compiled, kwargs)]
        measure(variants, args.runs, args.threads)
        show(f"{task}, {args.seconds:g} s of stereo, batch {args.batch}", variants)
        print(f"  first run: eager {variants[0].first:.1f} s, compiled {variants[1].first:.1f} s")


if __name__ == "__main__":
    main()
