"""Parameters that change nothing on this machine, as of networks and logs, and what GetFunction says of them.

The example of GetFunction (document 18584) has the fields, and what they are where nothing was given. Its ImageConfig
is of an image; that of code is from the example of CloudBase's GetFunction, whose functions are those of SCF.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...errors import did_you_mean
from .error_texts import api_error

_NOTHING_GIVEN: Final[Mapping[str, Any]] = {
    "Role": "",
    "VpcConfig": {"VpcId": "", "SubnetId": ""},
    "ClsLogsetId": "",
    "ClsTopicId": "",
    "Tags": [],
    "InstallDependency": "FALSE",
    "L5Enable": "FALSE",
    "DnsCache": "FALSE",
    "DeadLetterConfig": {"Type": "", "Name": "", "FilterType": ""},
    "CfsConfig": {"CfsInsList": []},
    "PublicNetConfig": {"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "DISABLE", "EipAddress": []}},
    "IntranetConfig": {"IpFixed": "DISABLE"},
    "ProtocolType": "",
    "ProtocolParams": None,
    "InstanceConcurrencyConfig": None,
}
_OF_CREATE: Final = ("Tags", "ProtocolType")
"""Those that UpdateFunctionConfiguration does not have."""
_NEVER_GIVEN: Final[Mapping[str, Any]] = {
    "UseGpu": "FALSE",
    "OnsEnable": "FALSE",
    "AccessInfo": {"Host": "", "Vip": ""},
    "ImageConfig": {
        **dict.fromkeys(("ImageType", "ImageUri", "RegistryId", "Command", "Args"), ""),
        **dict.fromkeys(("EntryPoint", "ImagePort")),
        "ContainerImageAccelerate": False,
    },
}
_VALUES: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("InstallDependency", "L5Enable", "DnsCache"), ("TRUE", "FALSE")),
    **dict.fromkeys(("PublicNetStatus", "EipStatus", "IpFixed"), ("ENABLE", "DISABLE")),
}
"""What fields may be, at whatever place."""
OTHER_FILTERS: Final = (
    *("VpcId", "SubnetId", "ClsTopicId", "ClsLogsetId", "Role", "CfsId", "CfsMountInsId", "Eip"),
    *("PublicNetStatus", "Stamp"),
)
"""Filters of ListFunctions that compare fields of GetFunction."""
_FIELDS: Final = {"CfsMountInsId": "MountInsId", "Eip": "Eips"}
"""Those with another name than their filter."""
TAG_FILTER: Final = "tag-"
"""Before the key of a tag, as a filter."""


def checked(given: object, *, update: bool) -> dict[str, Any]:
    """*given*, by the names of CreateFunction or of UpdateFunctionConfiguration (*update*).

    Raises ScfApiError: ``UnknownParameter`` for another name, ``InvalidParameter`` for a value of another type, and
    ``InvalidParameterValue`` for what is no switch.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise api_error("InvalidParameter", name="also", valid="parameters by their names")
    names = [name for name in _NOTHING_GIVEN if not (update and name in _OF_CREATE)]
    for name, value in given.items():
        if name not in names:
            raise api_error("UnknownParameter", name=name, hint=did_you_mean(name, names))
        if not _fits(value, _NOTHING_GIVEN[name]):
            raise api_error("InvalidParameter", name=name, valid="of the type that the API has")
    found = dict(given)
    for name, value in _leaves("", found):
        if value not in _VALUES.get(name, (value,)):
            of_network = name in ("PublicNetStatus", "EipStatus")
            code = "InvalidParameterValue.PublicNetConfig" if of_network else "InvalidParameterValue"
            raise api_error(code, name=name, value=value, valid=f"it must be {' or '.join(_VALUES[name])}")
    return found


def shown(taken: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of GetFunction that say what was *taken*."""
    fields = {name: _completed(taken.get(name), empty) for name, empty in _NOTHING_GIVEN.items()}
    has_eip = fields["PublicNetConfig"]["EipConfig"]["EipStatus"] == "ENABLE"
    eip: dict[str, object] = {"EipFixed": "TRUE" if has_eip else "FALSE", "Eips": []}
    return {**_NEVER_GIVEN, **fields, "EipConfig": eip}


def tags_of(taken: Mapping[str, Any]) -> dict[str, str]:
    """The tags that were *taken*, by their keys."""
    return {str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in taken.get("Tags", [])}


def passes(taken: Mapping[str, Any], filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether what was *taken* passes those *filters* of ListFunctions that are in `OTHER_FILTERS`, or of tags."""
    tags = [(f"{TAG_FILTER}{key}", value) for key, value in tags_of(taken).items()]
    leaves = [*_leaves("", shown(taken)), *tags]
    return all(
        any(field == _FIELDS.get(name, name) and value in values for field, value in leaves)
        for name, values in filters.items()
        if name in OTHER_FILTERS or name.startswith(TAG_FILTER)
    )


def _fits(value: object, empty: Any) -> bool:
    """Whether *value* is of the type of *empty*, which stands for one that was not given."""
    if isinstance(empty, str):
        return isinstance(value, str)
    if isinstance(empty, list):
        return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)
    fields = empty or {}
    return isinstance(value, Mapping) and all(_fits(value[name], fields[name]) for name in value if name in fields)


def _completed(given: Any, empty: Any) -> Any:
    """*given*, and what *empty* has of a struct where it says nothing."""
    if given is None:
        return empty
    if not isinstance(empty, Mapping):
        return given
    return {**empty, **{name: _completed(value, empty.get(name)) for name, value in given.items()}}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values in *value* that are no structs, each with the name of its field."""
    if isinstance(value, Mapping):
        for field, inner in value.items():
            yield from _leaves(field, inner)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(name, each)
    else:
        yield name, value
