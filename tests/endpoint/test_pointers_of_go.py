"""A client in Go has a pointer for each field: Terraform's provider takes what many of GetFunction's point to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_endpoint_fields import Caller
from test_vendor_clients import FUNCTION, NEW

from pytest_scf_async import ScfRuntime

# once: rules of the platform: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.go]

PROGRAM = """
package main

import (
	"encoding/json"
	"os"
)

type pair struct{ Key, Value *string }

type function struct {
	FunctionId, L5Enable, InstallDependency, DnsCache, Status, CodeResult, Role *string
	Timeout, MemorySize, CodeSize, ErrNo                                        *int64
	Environment                                                                 *struct{ Variables []*pair }
	VpcConfig                                                                   *struct{ VpcId, SubnetId *string }
	Tags                                                                        []*pair
	EipConfig                                                                   *struct {
		EipFixed *string
		Eips     []*string
	}
	AccessInfo      *struct{ Host, Vip *string }
	PublicNetConfig *struct {
		PublicNetStatus *string
		EipConfig       *struct{ EipStatus *string }
	}
	CfsConfig *struct {
		CfsInsList []*struct{ UserId, CfsId, MountInsId, LocalMountDir *string }
	}
	IntranetConfig *struct{ IpFixed *string }
	ImageConfig    *struct{ ImageType, ImageUri *string }
}

func pairs(all []*pair) map[string]string {
	found := map[string]string{}
	for _, each := range all {
		found[*each.Key] = *each.Value
	}
	return found
}

func main() {
	var got function
	if err := json.NewDecoder(os.Stdin).Decode(&got); err != nil {
		panic(err)
	}
	mounted := []string{}
	for _, each := range got.CfsConfig.CfsInsList {
		mounted = append(mounted, *each.UserId, *each.CfsId, *each.MountInsId, *each.LocalMountDir)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"has_id":      *got.FunctionId != "",
		"numbers":     []int64{*got.Timeout, *got.MemorySize, *got.ErrNo},
		"has_code":    *got.CodeSize > 0 && *got.CodeResult == "success" && *got.Status == "Active",
		"environment": pairs(got.Environment.Variables),
		"tags":        pairs(got.Tags),
		"network":     *got.VpcConfig.VpcId + *got.VpcConfig.SubnetId,
		"role":        *got.Role,
		"l5":          *got.L5Enable == "TRUE",
		"install":     *got.InstallDependency == "TRUE",
		"dns":         *got.DnsCache == "TRUE",
		"eip_fixed":   *got.EipConfig.EipFixed == "TRUE",
		"eips":        len(got.EipConfig.Eips),
		"host":        *got.AccessInfo.Host + *got.AccessInfo.Vip,
		"public":      *got.PublicNetConfig.PublicNetStatus == "ENABLE",
		"eip":         *got.PublicNetConfig.EipConfig.EipStatus == "ENABLE",
		"mounted":     mounted,
		"intranet":    *got.IntranetConfig.IpFixed == "ENABLE",
		"image":       *got.ImageConfig.ImageType + *got.ImageConfig.ImageUri,
	})
}
"""
NOTHING_GIVEN = {
    "has_id": True,
    "numbers": [3, 128, 0],
    "has_code": True,
    "environment": {},
    "tags": {},
    "network": "",
    "role": "",
    "l5": False,
    "install": False,
    "dns": False,
    "eip_fixed": False,
    "eips": 0,
    "host": "",
    "public": True,
    "eip": False,
    "mounted": [],
    "intranet": False,
    "image": "",
}
GIVEN: dict[str, Any] = {
    "Timeout": 60,
    "Environment": {"Variables": [{"Key": "BUCKET", "Value": "exports"}]},
    "VpcConfig": {"VpcId": "vpc-1", "SubnetId": "/subnet-1"},
    "Role": "exports",
    "DnsCache": "TRUE",
    "InstallDependency": "TRUE",
    "L5Enable": "TRUE",
    "PublicNetConfig": {"PublicNetStatus": "DISABLE", "EipConfig": {"EipStatus": "ENABLE"}},
    "IntranetConfig": {"IpFixed": "ENABLE"},
    "CfsConfig": {
        "CfsInsList": [
            {
                "UserId": "1",
                "UserGroupId": "1",
                "CfsId": "cfs-1",
                "MountInsId": "cfs-2",
                "LocalMountDir": "/mnt",
                "RemoteMountDir": "/",
            }
        ]
    },
}
OTHERS = {
    "numbers": [60, 128, 0],
    "environment": {"BUCKET": "exports"},
    "network": "vpc-1/subnet-1",
    "role": "exports",
    "l5": True,
    "install": True,
    "dns": True,
    "eip_fixed": True,
    "public": False,
    "eip": True,
    "mounted": ["1", "cfs-1", "cfs-2", "/mnt"],
    "intranet": True,
}


def test_what_terraform_dereferences_is_there(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    call = Caller(scf_runtime)
    program = tmp_path / "reads"
    (tmp_path / "main.go").write_text(PROGRAM)
    subprocess.run(["go", "build", "-o", program, "main.go"], cwd=tmp_path, check=True)

    def read() -> dict[str, Any]:
        answer = json.dumps(call("GetFunction", **FUNCTION))
        given = subprocess.run([program], input=answer, capture_output=True, check=True, text=True)
        found: dict[str, Any] = json.loads(given.stdout)
        return found

    call("CreateFunction", **NEW)
    assert read() == NOTHING_GIVEN
    call("UpdateFunctionConfiguration", **FUNCTION, **GIVEN)
    assert read() == {**NOTHING_GIVEN, **OTHERS}
    call("DeleteFunction", **FUNCTION)
    call("CreateFunction", **NEW, **GIVEN, Tags=[{"Key": "owner", "Value": "me"}])
    assert read() == {**NOTHING_GIVEN, **OTHERS, "tags": {"owner": "me"}}
