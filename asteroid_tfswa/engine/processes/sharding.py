"""Train a model whose weights, gradients and optimizer states are shared between processes."""

from torch import nn
from torch.distributed.fsdp import fully_shard

from asteroid_tfswa.engine.system import MusicSystem


class ShardedSystem(MusicSystem):
    """`MusicSystem` for FSDP2: each process keeps a share of every parameter.

    The parameters of one block are gathered at a time. Blocks are the modules of every
    `nn.ModuleList`.
    """

    def configure_model(self):
        """Replace the parameters by shares of them, also in the optimizer."""
        mesh = self.device_mesh["data_parallel"]
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        for module in reversed(list(self.model.modules())):  # inner ones before those around them
            if isinstance(module, nn.ModuleList):
                for block in module:
                    fully_shard(block, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        shares = dict(self.model.named_parameters())
        for group in self.optimizer.param_groups:
            group["params"] = [shares[names[parameter]] for parameter in group["params"]]
