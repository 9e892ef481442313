# SPDX-License-Identifier: Apache-2.0
"""Our driver fits Magnum's base class and the way Magnum calls it."""

import inspect
import json
import pathlib

from magnum.common import exception as magnum_exception
from magnum.conductor.handlers import ca_conductor
from magnum.drivers.common import driver as magnum_driver
import testtools

from magnum_k8s_driver import driver
from tests import magnum_hooks
from tests import magnum_service

_NOT_HOOKS = {
    "load_entry_points",
    "get_drivers",
    "get_driver",
    "get_driver_for_cluster",
    "get_default_driver",
}
"""Magnum's own, which finds drivers by them."""

MAGNUM_22 = (
    pathlib.Path(__file__).parents[1] / "data" / "magnum-22.0.0-hooks.json"
)


def shape(function):
    """Return names, kinds, order and defaults of a hook's parameters."""
    return [
        (one.name, one.kind, one.default)
        for one in inspect.signature(function).parameters.values()
    ]


class TestSignatures(testtools.TestCase):
    def test_installed_magnum(self):
        hooks = {
            name: function
            for name, function in vars(magnum_driver.Driver).items()
            if inspect.isfunction(function) and not name.startswith("_")
        }
        self.assertGreaterEqual(len(hooks), 18)
        for name, function in hooks.items():
            self.assertEqual(
                shape(function), shape(getattr(driver.Driver, name)), name
            )

    def test_magnum_22(self):
        """tests/functional/test_magnum_22.py derives the file anew."""
        recorded = json.loads(MAGNUM_22.read_text())["signatures"]
        hooks = set(recorded) - _NOT_HOOKS - {"provides"}
        self.assertGreaterEqual(len(hooks), 18)
        ours = magnum_hooks.signatures(
            f"class Driver:\n{self._stubs(sorted(hooks))}"
        )
        for name in hooks:
            self.assertEqual(recorded[name], ours[name], name)

    def _stubs(self, hooks):
        lines = []
        for name in hooks:
            signature = inspect.signature(getattr(driver.Driver, name))
            bare = signature.replace(
                parameters=[
                    one.replace(annotation=inspect.Parameter.empty)
                    for one in signature.parameters.values()
                ],
                return_annotation=inspect.Signature.empty,
            )
            lines.append(f"    def {name}{bare}: ...\n")
        return "".join(lines)

    def test_every_abstract_member_is_there(self):
        self.assertEqual(frozenset(), driver.Driver.__abstractmethods__)

    def test_harmful_defaults_are_replaced(self):
        for name in (
            "update_cluster_status",
            "rotate_ca_certificate",
            "rotate_credential",
            "validate_master_resize",
            "get_monitor",
        ):
            self.assertIn(name, vars(driver.Driver))

    def test_instance_needs_nothing(self):
        one = driver.Driver()
        self.assertEqual({}, vars(one))
        self.assertFalse(one.needs_trust)
        self.assertFalse(hasattr(one, "get_template_definition"))

    def test_provides(self):
        found = driver.Driver().provides
        for kind in found:
            self.assertEqual({"server_type", "os", "coe"}, set(kind))
            self.assertEqual("vm", kind["server_type"])
            self.assertEqual("kubernetes", kind["coe"])
        distributions = [kind["os"] for kind in found]
        self.assertIn("ubuntu", distributions)
        self.assertEqual(len(set(distributions)), len(distributions))

    def test_sizes_of_the_control_plane(self):
        for size in (1, 3, 5, 7):
            driver.Driver().validate_master_size(size)
        for size in (-1, 0, 2, 4, 8, 9):
            self.assertRaises(
                magnum_exception.MasterNGSizeInvalid,
                driver.Driver().validate_master_size,
                size,
            )


class TestRefused(testtools.TestCase):
    """Every hook that is not there yet, called as the conductor does it."""

    def setUp(self):
        super().setUp()
        self.magnum = self.useFixture(magnum_service.MagnumService())
        references = {
            name: self.magnum.store_certificate(name)
            for name in (
                "ca_cert_ref",
                "magnum_cert_ref",
                "etcd_ca_cert_ref",
                "front_proxy_ca_cert_ref",
            )
        }
        self.cluster = self.magnum.cluster(stack_id="stack-1", **references)
        self.group = self.magnum.groups(self.cluster)["default-worker"]
        self.driver = driver.Driver()

    def rows(self):
        cluster = self.magnum.reload(self.cluster)
        groups = self.magnum.groups(self.cluster)
        return (
            cluster.as_dict(),
            {name: row.as_dict() for name, row in groups.items()},
            self.magnum.certificates(),
        )

    def refused(self, hook, *args, **kwargs):
        before = self.rows()
        error = self.assertRaises(
            magnum_exception.NotSupported, hook, *args, **kwargs
        )
        self.assertEqual(400, error.code)
        self.assertRegex(str(error), r"^[A-Z].+\.$")
        self.assertEqual(before, self.rows())
        self.assertEqual({}, self.cluster.obj_get_changes())
        return str(error)

    def test_upgrade_with_rollback_in_the_place_of_the_scale_manager(self):
        for rollback in (False, True):
            self.refused(
                self.driver.upgrade_cluster,
                self.magnum.context,
                self.cluster,
                self.cluster.cluster_template,
                1,
                self.group,
                rollback,
            )

    def test_credential(self):
        self.refused(
            self.driver.rotate_credential, self.magnum.context, self.cluster
        )

    def test_size_of_the_control_plane(self):
        for count in (0, 2, 4, 9):
            with testtools.ExpectedException(
                magnum_exception.MasterNGSizeInvalid
            ):
                self.driver.validate_master_resize(count)
        for count in (1, 3, 5, 7):
            self.driver.validate_master_resize(count)

    def test_federations(self):
        for hook in (
            self.driver.create_federation,
            self.driver.update_federation,
            self.driver.delete_federation,
        ):
            self.refused(hook, self.magnum.context, None)

    def test_rotating_the_ca_keeps_the_old_one(self):
        """Magnum has made new CAs before the hook and saves afterwards."""
        before = self.rows()
        references = [
            "ca_cert_ref",
            "magnum_cert_ref",
            "etcd_ca_cert_ref",
            "front_proxy_ca_cert_ref",
        ]
        self.assertRaises(
            magnum_exception.NotSupported,
            ca_conductor.Handler().rotate_ca_certificate,
            self.magnum.context,
            self.cluster,
        )
        after = self.rows()
        for name in references:
            self.assertEqual(before[0][name], after[0][name])
            self.assertEqual(before[0][name], self.cluster[name])
        self.assertEqual(before[2], after[2], "new CAs were left behind")
        self.assertEqual("UPDATE_FAILED", after[0]["status"])
        self.assertRegex(after[0]["status_reason"], r"^[A-Z].+\.$")
