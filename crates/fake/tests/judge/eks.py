"""Drives the fake EKS at sys.argv[1] with boto3 and holds every raw answer to botocore's service-2.json."""

import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
options = {"endpoint_url": endpoint, "region_name": "eu-central-1"}
eks = boto3.client("eks", config=Config(retries={"total_max_attempts": 1}), **options)
model = eks.meta.service_model
held = set()

# What EKS leaves out of an answer to a plain request, because it was not asked for or does not apply.
NOT_HERE = {
    "Cluster": {
        "clientRequestToken", "encryptionConfig", "connectorConfig", "id", "outpostConfig", "upgradePolicy",
        "zonalShiftConfig", "remoteNetworkConfig", "computeConfig", "storageConfig", "controlPlaneScalingConfig",
        "kubeApiServerConfig", "kubeSchedulerConfig", "kubeControllerManagerConfig", "endpoint",
    },
    "VpcConfigResponse": {"controlPlaneEgressMode"},
    "KubernetesNetworkConfigResponse": {"serviceIpv6Cidr", "elasticLoadBalancing"},
    "Certificate": {"data", "active"},
    "Nodegroup": {"remoteAccess", "launchTemplate", "nodeRepairConfig", "warmPoolConfig"},
    "NodegroupResources": {"remoteAccessSecurityGroup"},
    "NodegroupUpdateConfig": {"maxUnavailablePercentage", "updateStrategy"},
    "Update": {"cancellation"},
}

# Errors given although the model does not list them for the operation. EKS itself was not asked; moto, another fake, does so.
BEYOND_THE_MODEL = {("CreateNodegroup", "ResourceNotFoundException")}

TYPES = {
    "string": str, "boolean": bool, "integer": int, "long": int, "timestamp": (int, float),
    "list": list, "map": dict, "structure": dict,
}


def hold(shape, value, path):
    """`value` is what `shape` promises, all the way down."""
    assert isinstance(value, TYPES[shape.type_name]), f"{path} is {value!r}, not a {shape.type_name}"
    if shape.type_name == "structure":
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{path} has {unknown}, which the model of {shape.name} has not"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                hold(member, value[name], f"{path}.{name}")
            elif name != "nextToken":
                absent = NOT_HERE.get(shape.name, set())
                assert name in absent and name not in shape.required_members, f"{path}.{name} is missing"
    elif shape.type_name == "list":
        for at, item in enumerate(value):
            hold(shape.member, item, f"{path}[{at}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            hold(shape.value, item, f"{path}[{key}]")
    elif shape.type_name == "string" and shape.enum:
        assert value in shape.enum, f"{path} is {value!r}, not one of {shape.enum}"


def judge(response_dict, operation_model, **_):
    """Every answer that is no error is held to the model before boto3 makes something of it."""
    if response_dict["status_code"] < 300:
        hold(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name)
        held.add(operation_model.name)


eks.meta.events.register("before-parse.eks", judge)


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, f"{call} gave {error}, not {code}"
        assert error.response["Error"]["Message"], "an error without words"
        allowed = {shape.name for shape in model.operation_model(error.operation_name).error_shapes}
        assert code in allowed or (error.operation_name, code) in BEYOND_THE_MODEL, f"{error.operation_name} may not answer {code}"
        return
    raise AssertionError(f"{call} with {parameters} was not refused with {code}")


def until(status, look):
    for _ in range(500):
        if look() == status:
            return
        time.sleep(0.02)
    raise AssertionError(f"never {status}")


def gone(look, **parameters):
    for _ in range(500):
        try:
            look(**parameters)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
            return
        time.sleep(0.02)
    raise AssertionError("never gone")


ROLE = "arn:aws:iam::111122223333:role/eks"
cluster = {
    "name": "judge", "roleArn": ROLE, "version": "1.33", "clientRequestToken": "token-1",
    "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"], "endpointPrivateAccess": True},
    "logging": {"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]},
    "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}, "tags": {"team": "data"},
}
group = {
    "clusterName": "judge", "nodegroupName": "nodes", "subnets": ["subnet-1"], "nodeRole": ROLE,
    "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 2}, "instanceTypes": ["m5.large"],
    "labels": {"a": "b"}, "taints": [{"key": "a", "value": "b", "effect": "NO_SCHEDULE"}], "tags": {"team": "data"},
    "clientRequestToken": "token-2",
}

assert boto3.client("sts", **options).get_caller_identity()["Arn"].endswith("user/berth-hub")

# Clusters.
refused("ResourceNotFoundException", eks.describe_cluster, name="judge")
refused("InvalidParameterException", eks.create_cluster, **{**cluster, "version": "0.1"})
refused("InvalidParameterException", eks.create_cluster, **{**cluster, "roleArn": "nobody"})
first = eks.create_cluster(**cluster)["cluster"]
again = eks.create_cluster(**cluster)["cluster"]
assert first["arn"] == again["arn"] and first["createdAt"] == again["createdAt"]
refused("ResourceInUseException", eks.create_cluster, **{**cluster, "clientRequestToken": "token-other"})
until("ACTIVE", lambda: eks.describe_cluster(name="judge")["cluster"]["status"])
assert eks.describe_cluster(name="judge")["cluster"]["endpoint"].startswith("https://")
eks.create_cluster(**{**cluster, "name": "other", "clientRequestToken": "token-3"})
pages = eks.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 1})
assert [name for page in pages for name in page["clusters"]] == ["judge", "other"]
until("ACTIVE", lambda: eks.describe_cluster(name="other")["cluster"]["status"])

# Changes.
change = {"name": "judge", "resourcesVpcConfig": {"endpointPublicAccess": False}}
update = eks.update_cluster_config(**change)["update"]["id"]
until("Successful", lambda: eks.describe_update(name="judge", updateId=update)["update"]["status"])
assert eks.list_updates(name="judge")["updateIds"] == [update]
assert not eks.describe_cluster(name="judge")["cluster"]["resourcesVpcConfig"]["endpointPublicAccess"]
refused("InvalidParameterException", eks.update_cluster_config, **change)
refused("ResourceNotFoundException", eks.describe_update, name="judge", updateId="none")

# Node groups.
refused("ResourceNotFoundException", eks.create_nodegroup, **{**group, "clusterName": "none"})
refused("InvalidParameterException", eks.create_nodegroup,
        **{**group, "scalingConfig": {"minSize": 2, "maxSize": 1, "desiredSize": 1}})
made = eks.create_nodegroup(**group)["nodegroup"]
assert eks.create_nodegroup(**group)["nodegroup"]["nodegroupArn"] == made["nodegroupArn"]
refused("ResourceInUseException", eks.create_nodegroup, **{**group, "clientRequestToken": "token-other"})
refused("InvalidRequestException", eks.create_nodegroup, **{**group, "nodegroupName": "second"})
until("ACTIVE", lambda: eks.describe_nodegroup(clusterName="judge", nodegroupName="nodes")["nodegroup"]["status"])
assert eks.list_nodegroups(clusterName="judge")["nodegroups"] == ["nodes"]
eks.update_nodegroup_config(clusterName="judge", nodegroupName="nodes", scalingConfig={"desiredSize": 3})
until("ACTIVE", lambda: eks.describe_nodegroup(clusterName="judge", nodegroupName="nodes")["nodegroup"]["status"])
refused("ResourceInUseException", eks.delete_cluster, name="judge")

# Tags.
eks.tag_resource(resourceArn=made["nodegroupArn"], tags={"b": "c"})
eks.untag_resource(resourceArn=made["nodegroupArn"], tagKeys=["team"])
assert eks.list_tags_for_resource(resourceArn=made["nodegroupArn"])["tags"] == {"b": "c"}
refused("NotFoundException", eks.list_tags_for_resource, resourceArn=first["arn"] + "x")

# Access entries.
principal = {"clusterName": "judge", "principalArn": "arn:aws:iam::111122223333:role/person"}
eks.create_access_entry(**principal, kubernetesGroups=["readers"])
refused("ResourceInUseException", eks.create_access_entry, **principal)
assert eks.describe_access_entry(**principal)["accessEntry"]["kubernetesGroups"] == ["readers"]
assert principal["principalArn"] in eks.list_access_entries(clusterName="judge")["accessEntries"]
eks.associate_access_policy(**principal, accessScope={"type": "cluster"},
                            policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy")
eks.delete_access_entry(**principal)
refused("ResourceNotFoundException", eks.describe_access_entry, **principal)

# Removal, in the only order there is.
eks.delete_nodegroup(clusterName="judge", nodegroupName="nodes")
gone(eks.describe_nodegroup, clusterName="judge", nodegroupName="nodes")
eks.delete_cluster(name="judge")
gone(eks.describe_cluster, name="judge")

# Somebody else's key.
stranger = boto3.client("eks", aws_access_key_id="AKIDNOBODY", aws_secret_access_key="x", **options)
try:
    stranger.list_clusters()
    raise AssertionError("a stranger was let in")
except ClientError as error:
    assert error.response["Error"]["Code"] == "UnrecognizedClientException", error

print(f"{len(held)} operations held to the model")
