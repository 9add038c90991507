"""The application builder that Serve config files name: `import_path: rayformers.serving:app`."""

# No postponed annotations here: Ray Serve reads the builder's parameter type as a class.

from ray import serve
from ray.serve import Application

from .endpoint import Endpoint
from .settings import AppArguments
from .web import RETRY_AFTER_S

HEALTH_CHECK_PERIOD_S = 10
HEALTH_CHECK_TIMEOUT_S = 30
GRACEFUL_SHUTDOWN_TIMEOUT_S = 20


def app(args: AppArguments) -> Application:
    """The Serve application for `args`: one deployment that holds the web side and the model."""
    replicas = args.replicas
    deployment = serve.deployment(
        serve.ingress()(Endpoint),
        name=args.name,
        max_ongoing_requests=args.max_ongoing_requests,
        max_queued_requests=args.limits.max_queued_requests,
        backpressure_config={"status_code": 503, "retry_after_s": RETRY_AFTER_S},
        autoscaling_config={
            "min_replicas": replicas.min,
            "initial_replicas": replicas.initial,
            "max_replicas": replicas.max,
            "target_ongoing_requests": args.target_ongoing_requests,
            "upscale_delay_s": replicas.upscale_delay_s,
            "downscale_delay_s": replicas.downscale_delay_s,
        },
        ray_actor_options={"num_cpus": replicas.num_cpus, "num_gpus": args.num_gpus},
        user_config={"batching": {}},
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        health_check_timeout_s=HEALTH_CHECK_TIMEOUT_S,
        graceful_shutdown_timeout_s=GRACEFUL_SHUTDOWN_TIMEOUT_S,
    )
    application: Application = deployment.bind(args.model_dump())
    return application
