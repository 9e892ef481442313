# SPDX-License-Identifier: Apache-2.0
"""Heat over HTTP."""

from collections.abc import Mapping
import datetime
from typing import Any
import urllib.parse

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.ports import rest

_CONFIG_PAGE = 200


class SdkHeat:
    """Stacks and software configs of the project a connection belongs to.

    Heat addresses a stack by name and id; ``/stacks/<id>`` alone answers 302
    with the full path. Names are remembered as long as this object lives,
    which is one call of the driver.

    :param connection: an ``openstack.connection.Connection``.
    """

    def __init__(
        self, connection: Any, *, timeout: float = rest.TIMEOUT
    ) -> None:
        self._rest = rest.Rest(connection, "orchestration", timeout=timeout)
        self._paths: dict[str, str] = {}

    def find(self, name: str) -> str | None:
        """Return the id of the live stack of that name in the project."""
        path = self._look_up(name)
        # Heat still finds a stack for a moment after its DELETE_COMPLETE.
        stack = self.show(path.rsplit("/", 1)[-1]) if path else None
        return stack.id if stack else None

    def tagged(self, tag: str) -> Mapping[str, heat.Listed]:
        """Return the project's stacks with a tag, by name."""
        document = self._rest.find("/stacks", {"tags": tag})
        found = {
            str(one["stack_name"]): heat.Listed(
                id=str(one["id"]), status=str(one["stack_status"])
            )
            for one in (document or {}).get("stacks", ())
            if one["stack_status"] != "DELETE_COMPLETE"
        }
        for name, stack in found.items():
            self._remember(f"{name}/{stack.id}")
        return found

    def show(
        self, stack_id: str, *, outputs: bool = False
    ) -> heat.Stack | None:
        """Return the stack, None when it is gone or DELETE_COMPLETE."""
        path = self._path(stack_id)
        resolve = "true" if outputs else "false"
        document = path and self._rest.find(path, {"resolve_outputs": resolve})
        if not document:
            return None
        found = document["stack"]
        if found["stack_status"] == "DELETE_COMPLETE":
            return None
        return _stack(found)

    def resources(
        self, stack_id: str, *, depth: int = 2
    ) -> tuple[heat.StackResource, ...]:
        """Return the resources of the stack's tree; empty when it is gone."""
        path = self._path(stack_id)
        document = path and self._rest.find(
            f"{path}/resources", {"nested_depth": depth}
        )
        if not document:
            return ()
        return tuple(self._resource(one) for one in document["resources"])

    def metadata(self, stack_id: str, resource_name: str) -> Mapping[str, Any]:
        """Return a resource's metadata; empty when there is none."""
        path = self._path(stack_id)
        quoted = urllib.parse.quote(resource_name, safe="")
        document = path and self._rest.find(
            f"{path}/resources/{quoted}/metadata"
        )
        return (document or {}).get("metadata") or {}

    def create(self, request: heat.StackRequest) -> str:
        """Create a stack and return its id.

        :raises CloudConflict: a stack of that name exists.
        """
        document = self._rest.send(
            "POST",
            "/stacks",
            {
                "stack_name": request.name,
                "template": dict(request.template),
                "files": dict(request.files),
                "parameters": dict(request.parameters),
                "tags": ",".join(request.tags),
                "timeout_mins": request.timeout_minutes,
                "disable_rollback": True,
            },
        )
        return str(document["stack"]["id"])

    def update(self, stack_id: str, update: heat.StackUpdate) -> None:
        """PATCH a stack: parameters that are not named keep their value.

        :raises CloudConflict: Heat works on the stack at this moment.
        """
        path = self._path(stack_id)
        if not path:
            raise exceptions.CloudError(
                self._rest.service, f"stack {stack_id} is gone", status=404
            )
        body: dict[str, Any] = {
            "parameters": dict(update.parameters),
            "timeout_mins": update.timeout_minutes,
            "disable_rollback": True,
        }
        if update.template is not None:
            body["template"] = dict(update.template)
            body["files"] = dict(update.files)
        self._rest.send("PATCH", path, body)

    def delete(self, stack_id: str) -> None:
        """Start deleting a stack; gone already is fine."""
        path = self._path(stack_id)
        if path:
            self._rest.discard(path)

    def create_config(self, name: str, text: str) -> str:
        """Store text as a software config and return its id."""
        document = self._rest.send(
            "POST",
            "/software_configs",
            {"name": name, "group": "ungrouped", "config": text},
        )
        return str(document["software_config"]["id"])

    def configs(self, prefix: str) -> Mapping[str, str]:
        """Return id -> name of the project's configs with that name prefix."""
        found: dict[str, str] = {}
        marker = ""
        while True:
            query: dict[str, Any] = {"limit": _CONFIG_PAGE}
            if marker:
                query["marker"] = marker
            document = self._rest.find("/software_configs", query) or {}
            page: list[Any] = document.get("software_configs") or []
            for one in page:
                if str(one.get("name") or "").startswith(prefix):
                    found[str(one["id"])] = str(one["name"])
            if len(page) < _CONFIG_PAGE:
                return found
            marker = str(page[-1]["id"])

    def delete_config(self, config_id: str) -> None:
        """Delete a software config; gone already is fine."""
        self._rest.discard(f"/software_configs/{config_id}")

    def deploy(self, key: str, config_id: str, reader_project: str) -> None:
        """Let users of a stack's own project read a config under a key.

        A software deployment, whose server Heat only looks up to copy the
        config to it: there is none of that id.

        :param key: at most 36 characters, an id of a server for Heat.
        :param reader_project: id of the project of the stack's users.
        """
        self._rest.send(
            "POST",
            "/software_deployments",
            {
                "server_id": key,
                "config_id": config_id,
                "stack_user_project_id": reader_project,
                "input_values": {},
                "action": "CREATE",
                "status": "COMPLETE",
                "status_reason": "",
            },
        )

    def deployed(self, key: str) -> frozenset[str]:
        """Return the ids of the configs that can be read under a key."""
        return frozenset(
            str(one["config_id"]) for one in self._deployments(key)
        )

    def withdraw(self, key: str) -> None:
        """End all reading under a key; nothing there is fine."""
        for one in self._deployments(key):
            self._rest.discard(f"/software_deployments/{one['id']}")

    def _deployments(self, key: str) -> list[Any]:
        document = self._rest.find("/software_deployments", {"server_id": key})
        return (document or {}).get("software_deployments") or []

    def _path(self, stack_id: str) -> str:
        """Return the path of a stack, '' when Heat does not know it."""
        return self._paths.get(stack_id) or self._look_up(stack_id)

    def _look_up(self, name_or_id: str) -> str:
        quoted = urllib.parse.quote(name_or_id, safe="")
        location = self._rest.location(f"/stacks/{quoted}")
        return self._remember(location) if location else ""

    def _remember(self, url: str) -> str:
        """Keep the last two parts of a stack's URL, its name and id.

        The rest of it is how Heat thinks it is reached, which behind a proxy
        need not be true.
        """
        name, stack_id = url.split("?", 1)[0].rstrip("/").split("/")[-2:]
        path = f"/stacks/{name}/{stack_id}"
        self._paths[stack_id] = path
        return path

    def _resource(self, one: Mapping[str, Any]) -> heat.StackResource:
        links = {link["rel"]: link["href"] for link in one["links"]}
        holder = self._remember(links["stack"])
        if "nested" in links:
            self._remember(links["nested"])
        return heat.StackResource(
            name=str(one["resource_name"]),
            type=str(one["resource_type"]),
            physical_id=str(one.get("physical_resource_id") or ""),
            status=str(one["resource_status"]),
            reason=str(one.get("resource_status_reason") or ""),
            stack_id=holder.rsplit("/", 1)[-1],
            parent=str(one.get("parent_resource") or ""),
            updated=str(one.get("updated_time") or ""),
        )


def _stack(found: Mapping[str, Any]) -> heat.Stack:
    word, _, phase = str(found["stack_status"]).partition("_")
    try:
        action = heat.StackAction(word)
    except ValueError:
        action = heat.StackAction.OTHER
    updated = found.get("updated_time")
    return heat.Stack(
        id=str(found["id"]),
        name=str(found["stack_name"]),
        action=action,
        phase=heat.StackPhase(phase),
        reason=str(found.get("stack_status_reason") or ""),
        parameters=dict(found.get("parameters") or {}),
        outputs={
            str(one["output_key"]): one.get("output_value")
            for one in found.get("outputs") or ()
        },
        created=_seconds(str(found["creation_time"])),
        updated=_seconds(str(updated)) if updated else None,
        timeout_minutes=int(found.get("timeout_mins") or 0),
    )


def _seconds(text: str) -> float:
    """Return seconds since the epoch of Heat's time in UTC."""
    moment = datetime.datetime.fromisoformat(text.removesuffix("Z"))
    return moment.replace(tzinfo=datetime.UTC).timestamp()
