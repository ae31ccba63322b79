"""The platform's own hosts, while an endpoint of the test answers in their place: which they are, and where they lead.

Both the test's process and its instances resolve names through this: a host of SCF has an address that nobody else
uses, connections to that address go to the endpoint, and other hosts of the API have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

ADDRESS: Final = "127.83.67.70"
"""What the hosts of SCF have as their address: one of the loopback that no server of a test uses (S, C, F)."""
PORTS: Final = (443, 80)
"""Where clients expect the API, by TLS and without."""
DOMAIN: Final = "tencentcloudapi.com"
SERVICE: Final = "scf"
REGIONS: Final = (
    *("ap-bangkok", "ap-beijing", "ap-beijing-fsi", "ap-chengdu", "ap-chongqing", "ap-guangzhou", "ap-hongkong"),
    *("ap-jakarta", "ap-mumbai", "ap-nanjing", "ap-seoul", "ap-shanghai", "ap-shanghai-fsi", "ap-shenzhen-fsi"),
    *("ap-singapore", "ap-taipei", "ap-tokyo", "eu-frankfurt", "eu-moscow", "na-ashburn", "na-siliconvalley"),
    *("na-toronto", "sa-saopaulo"),
)
"""Those for which the platform names hosts (document 17237), some of them of other services only."""
CA_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where OpenSSL and Go, requests, curl and Node.js find which certificate authorities to trust."""
WRAPPERS: Final = {"wrap_socket": 5, "wrap_bio": 4}
"""Methods of ``ssl.SSLContext`` that begin TLS, and which argument (0: self) is ``server_hostname``."""
_NO_PROXY: Final = ("NO_PROXY", "no_proxy")


def api_host(name: str) -> str | None:
    """*name* in its plain form, where it is a host of the platform's API; None: it is none."""
    plain = name.rstrip(".").lower()
    return plain if plain == DOMAIN or plain.endswith(f".{DOMAIN}") else None


def is_scf(host: str) -> bool:
    """Whether *host*, one of the API in its plain form, is one of SCF: of any region, internal or international."""
    return host.startswith(f"{SERVICE}.")


def listed() -> list[str]:
    """The hosts of SCF that are documented, for what takes no patterns."""
    inside = ("", "internal.", "intl.", *(f"{region}." for region in REGIONS))
    return [f"{SERVICE}.{each}{DOMAIN}" for each in inside]


def refusal(host: str) -> str:
    """Why *host*, which is none of SCF, is not resolved, and what to do."""
    return (
        f"{host} is refused: the test has an endpoint (scf_endpoint), which answers for the hosts of SCF, and no other "
        'host of the API is reachable then; replace the caller with a fake, or set official_hosts="machine"'
    )


def tunnel_refusal(host: str) -> str:
    """Why no proxy is asked for *host*, and what to do."""
    return (
        f"a tunnel through a proxy to {host} is refused: the test has an endpoint (scf_endpoint), which answers for "
        "that host, and a proxy would reach the real one; configure the client without a proxy, or set "
        'official_hosts="machine"'
    )


def hosts_file(before: str) -> str:
    """What ``/etc/hosts`` says that said *before*: its own lines about these hosts come first, and so win."""
    ours = "\n".join(f"{ADDRESS} {host}" for host in listed())
    return f"{ours}\n{before}"


def without_proxy(environment: Mapping[str, str], address: str) -> dict[str, str]:
    """The variables by which clients of *environment* ask no proxy for the hosts of SCF and the endpoint's *address*.

    The official SDK searches for the whole host in the text, others for the end of a name: so both are there.
    """
    known = [name for variable in _NO_PROXY for name in environment.get(variable, "").split(",") if name.strip()]
    names = ",".join(dict.fromkeys([*(name.strip() for name in known), *listed(), f".{DOMAIN}", DOMAIN, address]))
    return dict.fromkeys(_NO_PROXY, names)


def trust(environment: MutableMapping[str, str], bundle: str) -> None:
    """Have what is started with *environment* trust the authorities in the file *bundle*."""
    for variable in CA_VARIABLES:
        environment[variable] = bundle


def wrapping(real: Any, place: int, authority_for: Callable[[str], str | None]) -> Any:
    """One of `WRAPPERS`, *real*, which first loads the certificate whose path *authority_for* the server gives.

    So contexts trust it that were made before the endpoint, such as the one that ``urllib.request`` keeps.
    """

    def wrap(*args: Any, **kwargs: Any) -> Any:
        name = kwargs.get("server_hostname") or (args[place] if len(args) > place else None)
        path = authority_for(text(name)) if name else None
        if path is not None:
            args[0].load_verify_locations(path)
        return real(*args, **kwargs)

    return wrap


def text(host: Any) -> str:
    """*host* as clients give it: text or bytes."""
    return host.decode("utf-8", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
