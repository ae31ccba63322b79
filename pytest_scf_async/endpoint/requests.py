"""The structs that requests of the API have, as the platform's documents name them."""

from __future__ import annotations

from typing import Final

from .parameters import Structs

STRUCTS: Final = Structs("""
AsyncTriggerConfig: RetryConfig=[RetryConfig] MsgTTL=Integer
CfsConfig: CfsInsList=[CfsInsInfo]
CfsInsInfo: UserId UserGroupId CfsId MountInsId LocalMountDir RemoteMountDir IpAddress MountVpcId MountSubnetId
Code: ZipFile CosBucketName CosObjectName CosBucketRegion TempCosObjectName DemoId GitUrl GitUserName GitPassword
  GitPasswordSecret GitBranch GitDirectory GitCommitId GitUserNameSecret ImageConfig=ImageConfig
DeadLetterConfig: Type Name FilterType
EipConfigIn: EipStatus
Environment: Variables=[Variable]
Filter: Name! Values=[String]
ImageConfig: ImageType ImageUri RegistryId EntryPoint Command Args ContainerImageAccelerate=Boolean ImagePort=Integer
InstanceConcurrencyConfig: DynamicEnabled InstanceIsolationEnabled Type MaxConcurrency=Integer
  MixNodeConfig=[MixNodeConfig] SessionConfig=SessionConfig
IntranetConfigIn: IpFixed
K8SLabel: Key Value
K8SToleration: Key Operator Effect Value TolerationSeconds=Integer
LayerVersionSimple: LayerName! LayerVersion!=Integer
LogFilter: RetCode
LogSearchContext: Offset Keyword Type Limit=Integer
MixNodeConfig: NodeSpec Num=Integer
NamespaceResourceEnv: TKE=NamespaceResourceEnvTKE OFFLINE=Boolean
NamespaceResourceEnvTKE: ClusterID SubnetID Namespace DataPath PodTemplatePatch Port=Integer NodeSelector=[K8SLabel]
  Tolerations=[K8SToleration]
ProtocolParams: WSParams=WSParams
PublicNetConfigIn: PublicNetStatus EipConfig=EipConfigIn
RetryConfig: RetryNum!=Integer
RoutingConfig: AdditionalVersionWeights=[VersionWeight] AddtionVersionMatchs=[VersionMatch]
SearchKey: Key! Value!
SessionConfig: SessionSource SessionName SessionPath IdleTimeoutStrategy MaximumConcurrencySessionPerInstance=Integer
  MaximumTTLInSeconds=Integer MaximumIdleTimeInSeconds=Integer
Tag: Key! Value!
TimeInterval: Start! End!
Variable: Key Value
VersionMatch: Version! Key! Method! Expression!
VersionWeight: Version! Weight!=Float
VpcConfig: VpcId SubnetId
WSParams: IdleTimeOut=Integer
AlsoCreated: ProtocolType Tags=[Tag] *AlsoTaken
AlsoTaken: Role InstallDependency L5Enable ClsLogsetId ClsTopicId DnsCache VpcConfig=VpcConfig
  DeadLetterConfig=DeadLetterConfig PublicNetConfig=PublicNetConfigIn CfsConfig=CfsConfig
  ProtocolParams=ProtocolParams InstanceConcurrencyConfig=InstanceConcurrencyConfig IntranetConfig=IntranetConfigIn
""")
"""By name. `AlsoTaken` are parameters of CreateFunction and UpdateFunctionConfiguration that mean nothing to code on
this machine (the network, log topics, roles, file systems, dead letters, what is for web functions), and `AlsoCreated`
those of CreateFunction alone, too. They are taken, GetFunction has them, and they change nothing else."""
