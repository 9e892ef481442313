# SPDX-License-Identifier: Apache-2.0
"""Write the files a client logs in with: openrc, clouds.yaml."""

from lab import settings as lab_settings
from lab.config import write

CLOUDS = {"demo": "openrc", "admin": "openrc-admin"}


def variables(settings: lab_settings.Settings, user: str) -> dict[str, str]:
    """Return the environment of a user; project and user share a name."""
    return {
        "OS_AUTH_URL": settings.identity_url,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_PASSWORD": lab_settings.PASSWORD,
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_PROJECT_NAME": user,
        "OS_REGION_NAME": lab_settings.REGION,
        "OS_USERNAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
    }


def files(settings: lab_settings.Settings) -> dict[str, str]:
    """Return the files by their names below the lab's root."""
    found = {"clouds.yaml": _clouds(settings)}
    for user, name in CLOUDS.items():
        lines = [
            f"export {key}={value}"
            for key, value in variables(settings, user).items()
        ]
        lines.append(f"export OS_CLIENT_CONFIG_FILE={_clouds_file(settings)}")
        lines.append("export PYTHONWARNINGS=ignore")
        lines.append(f'export PATH="{settings.venv}/bin:$PATH"')
        found[name] = "\n".join(lines) + "\n"
    return found


def put(settings: lab_settings.Settings) -> None:
    for name, text in files(settings).items():
        write.put(settings.root / name, text)


def _clouds_file(settings: lab_settings.Settings) -> str:
    return str(settings.root / "clouds.yaml")


def _clouds(settings: lab_settings.Settings) -> str:
    lines = ["clouds:"]
    for user in CLOUDS:
        lines += [
            f"  {user}:",
            "    auth:",
            f"      auth_url: {settings.identity_url}",
            f"      username: {user}",
            f"      password: {lab_settings.PASSWORD}",
            f"      project_name: {user}",
            "      user_domain_name: Default",
            "      project_domain_name: Default",
            f"    region_name: {lab_settings.REGION}",
            "    identity_api_version: 3",
        ]
    return "\n".join(lines) + "\n"
