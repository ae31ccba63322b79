"""The parameters of each action of the endpoint, and the structs in them, as the platform's documents name them."""

from __future__ import annotations

from typing import Final

from .parameters import structs_of

REQUESTS: Final = structs_of("""
ListAsyncEvents: FunctionName! Namespace Qualifier InvokeType=[String] Status=[String] StartTimeInterval=TimeInterval
  EndTimeInterval=TimeInterval Order Orderby Offset=Integer Limit=Integer InvokeRequestId
GetAsyncEventStatus: InvokeRequestId!
TerminateAsyncEvent: FunctionName! InvokeRequestId! Namespace GraceShutdown=Boolean
Invoke: FunctionName! InvocationType Qualifier ClientContext LogType Namespace RoutingKey
InvokeFunction: FunctionName! Qualifier Event LogType Namespace RoutingKey
GetRequestStatus: FunctionName! FunctionRequestId! Namespace StartTime EndTime
GetFunctionLogs: FunctionName! Offset=Integer Limit=Integer Order OrderBy Namespace Qualifier FunctionRequestId
  StartTime EndTime Filter=LogFilter SearchContext=LogSearchContext
GetFunctionEventInvokeConfig: FunctionName! Namespace Qualifier
UpdateFunctionEventInvokeConfig: AsyncTriggerConfig!=AsyncTriggerConfig FunctionName! Namespace
CreateFunction: FunctionName! Code=Code Handler Description Runtime Namespace Type CodeSource AsyncRunEnable
  TraceEnable AutoDeployClsTopicIndex AutoCreateClsTopic ProtocolType MemorySize=Integer Timeout=Integer
  InitTimeout=Integer Environment=Environment Tags=[Tag] Layers=[LayerVersionSimple] *AlsoTaken
UpdateFunctionCode: FunctionName! Handler CosBucketName CosObjectName ZipFile Namespace CosBucketRegion
  InstallDependency EnvId Publish CodeSource Code=Code
UpdateFunctionConfiguration: FunctionName! Description Runtime Namespace Publish L5Enable TraceEnable
  MemorySize=Integer Timeout=Integer InitTimeout=Integer IgnoreSysLog=Boolean Environment=Environment
  Layers=[LayerVersionSimple] *AlsoTaken
GetFunction: FunctionName! Qualifier Namespace ShowCode
ListFunctions: Order Orderby SearchKey Namespace Description Offset=Integer Limit=Integer Filters=[Filter]
DeleteFunction: FunctionName! Namespace Qualifier
PublishVersion: FunctionName! Description Namespace
ListVersionByFunction: FunctionName! Namespace Order OrderBy Offset=Integer Limit=Integer
ListTriggers: FunctionName! Namespace OrderBy Order Offset=Integer Limit=Integer Filters=[Filter]
CreateAlias: Name! FunctionName! FunctionVersion! Namespace Description RoutingConfig=RoutingConfig
GetAlias: FunctionName! Name! Namespace
ListAliases: FunctionName! Namespace FunctionVersion Offset Limit
UpdateAlias: Name! FunctionName! FunctionVersion! Namespace Description RoutingConfig=RoutingConfig
DeleteAlias: FunctionName! Name! Namespace
CreateNamespace: Namespace! Description ResourceEnv=NamespaceResourceEnv
UpdateNamespace: Namespace! Description!
DeleteNamespace: Namespace!
ListNamespaces: Limit=Integer Offset=Integer Orderby Order SearchKey=[SearchKey]

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

AlsoTaken: Role InstallDependency ClsLogsetId ClsTopicId DnsCache VpcConfig=VpcConfig
  DeadLetterConfig=DeadLetterConfig PublicNetConfig=PublicNetConfigIn CfsConfig=CfsConfig
  ProtocolParams=ProtocolParams InstanceConcurrencyConfig=InstanceConcurrencyConfig IntranetConfig=IntranetConfigIn
""")
"""The actions come first, then the structs, by their names, last `AlsoTaken`: parameters of CreateFunction and
UpdateFunctionConfiguration that mean nothing to code on this machine (the network, log topics, roles, file systems,
dead letters, and what is for web functions). They are taken, and change nothing."""
