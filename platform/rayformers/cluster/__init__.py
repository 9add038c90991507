"""Ray clusters: connect to one, build its runtime environments, submit jobs to it, plan them.

Functions and their modules share names, so this imports them at once (none of them imports ray before it is called).
"""

from .connect import Cluster, connect, needed_cpus, require
from .plan import Plan, plan
from .runtime_env import runtime_env
from .submit import Submission, submit

__all__ = [
    "Cluster",
    "Plan",
    "Submission",
    "connect",
    "needed_cpus",
    "plan",
    "require",
    "runtime_env",
    "submit",
]
