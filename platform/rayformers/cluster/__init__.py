"""Ray clusters: connect to one, build its runtime environments.

Functions and their modules share names, so this imports them at once (none of them imports ray before it is called).
"""

from .connect import Cluster, connect, needed_cpus, require
from .runtime_env import runtime_env

__all__ = ["Cluster", "connect", "needed_cpus", "require", "runtime_env"]
