//! Calls about who may do what.

use berth_proto::v1;

use super::{Call, Target, all, change, of, one, read};

fn binding(name: &str) -> Target {
    one("roleBinding", "roleBindings", name)
}

pub(super) const CALLS: &[Call] = &[
    change(
        "/berth.v1.AccessService/CreateRoleBinding",
        "roleBindings.create",
        |m| of(m, |r: v1::CreateRoleBindingRequest| binding(&r.role_binding_id)),
    ),
    read(
        "/berth.v1.AccessService/GetRoleBinding",
        "roleBindings.get",
        |m| of(m, |r: v1::GetRoleBindingRequest| binding(&r.name)),
    ),
    read(
        "/berth.v1.AccessService/ListRoleBindings",
        "roleBindings.list",
        |m| of(m, |_: v1::ListRoleBindingsRequest| all("roleBinding")),
    ),
    change(
        "/berth.v1.AccessService/UpdateRoleBinding",
        "roleBindings.update",
        |m| {
            of(m, |r: v1::UpdateRoleBindingRequest| {
                binding(r.role_binding.as_ref().map_or("", |it| &it.name))
            })
        },
    ),
    change(
        "/berth.v1.AccessService/DeleteRoleBinding",
        "roleBindings.delete",
        |m| of(m, |r: v1::DeleteRoleBindingRequest| binding(&r.name)),
    ),
    read("/berth.v1.AccessService/ListRoles", "roles.list", |m| {
        of(m, |_: v1::ListRolesRequest| all("role"))
    }),
    read("/berth.v1.AccessService/CheckAccess", "access.check", |m| {
        of(m, |_: v1::CheckAccessRequest| all("access"))
    }),
    read("/berth.v1.AccessService/GetCaller", "access.whoami", |m| {
        of(m, |_: v1::GetCallerRequest| all("access"))
    }),
];
