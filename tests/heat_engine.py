# SPDX-License-Identifier: Apache-2.0
"""Heat's own engine as a judge of templates: no service, no database.

A program of its own, because Heat and Magnum register options of the same
name in the one global configuration. Reads stacks as JSON, writes for each
the resources that it has, nested ones included, and what is wrong with it.
"""

from collections.abc import Iterable, Mapping
import json
import subprocess
import sys
from typing import Any


def judge(stacks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return Heat's verdict on each stack.

    :param stacks: ``template``, ``files`` and ``parameters``.
    :returns: ``resources`` (path -> type), ``outputs`` and ``errors``.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        input=json.dumps(list(stacks)),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"Heat's engine stopped: {done.stderr[-3000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _start() -> None:
    from heat.db import api as db_api
    from heat.db import models
    from heat.engine import constraints
    from heat.engine import resource
    from heat.engine import resources
    from oslo_config import cfg
    from oslo_db import options

    # Nothing is stored, but the engine looks a stack's tree up.
    options.set_defaults(cfg.CONF, connection="sqlite://")
    models.BASE.metadata.create_all(db_api.get_engine())
    resources.initialise()
    # Whether flavors and networks exist is a question to services.
    constraints.CustomConstraint.validate = lambda *_args, **_kwargs: None
    resource.Resource._validate_service_availability = classmethod(
        lambda *_args: None
    )


def _verdict(stack: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"resources": {}, "outputs": [], "errors": []}
    try:
        _judge_level(
            stack["template"], stack["files"], stack["parameters"], "", found
        )
    except Exception as exc:  # noqa: B902 - whatever Heat finds is a verdict
        found["errors"].append(f"{type(exc).__name__}: {exc}")
    return found


def _judge_level(
    template_data: Any,
    files: Mapping[str, str],
    parameters: Mapping[str, Any],
    path: str,
    found: dict[str, Any],
) -> None:
    from heat.common import context
    from heat.common import template_format
    from heat.engine import environment
    from heat.engine import stack as stack_module
    from heat.engine import template

    if isinstance(template_data, str):
        template_data = template_format.parse(template_data)
    env = environment.Environment({"parameters": dict(parameters)})
    parsed = template.Template(template_data, files=dict(files), env=env)
    ctx = context.RequestContext(
        user_id="user", project_id="project", is_admin=True, roles=["admin"]
    )
    stack = stack_module.Stack(ctx, "prod", parsed, stack_id="stack-id")
    stack.validate(validate_res_tmpl_only=True)
    if not path:
        found["outputs"] = sorted(stack.outputs)
    for name, one in stack.resources.items():
        where = f"{path}{name}"
        found["resources"][where] = one.type()
        one.properties.validate(with_value=True)
        for key in one.properties.data:
            if key not in one.properties_schema:
                found["errors"].append(f"{where}: unknown property {key}")
        if one.type() in files:
            _judge_level(
                files[one.type()],
                files,
                one.child_params(),
                f"{where}/",
                found,
            )


if __name__ == "__main__":
    _start()
    verdicts = [_verdict(one) for one in json.load(sys.stdin)]
    json.dump(verdicts, sys.stdout)
