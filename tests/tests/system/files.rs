//! Files as users write them.

/// A bundle with one Deployment that passes restricted pod security.
pub(crate) fn web_bundle(name: &str) -> String {
    format!(
        r#"apiVersion: berth.dev/v1
kind: Bundle
metadata:
  name: {name}
  version: 1.0.0
spec:
  description: One web server
  parameters:
    - name: image
      type: string
    - name: replicas
      type: integer
      default: 2
  manifests:
    - apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: web
      spec:
        replicas: ${{replicas}}
        progressDeadlineSeconds: 5
        selector:
          matchLabels:
            app: web
        template:
          metadata:
            labels:
              app: web
          spec:
            securityContext:
              runAsNonRoot: true
              runAsUser: 1000
              seccompProfile:
                type: RuntimeDefault
            containers:
              - name: web
                image: ${{image}}
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities:
                    drop: [ALL]
                resources:
                  requests:
                    cpu: 50m
                    memory: 64Mi
                    ephemeral-storage: 64Mi
                  limits:
                    cpu: 100m
                    memory: 128Mi
                    ephemeral-storage: 128Mi
"#
    )
}

/// A tenant of a tier.
pub(crate) fn tenant(name: &str, tier: &str) -> String {
    format!("apiVersion: berth.dev/v1\nkind: Tenant\nmetadata:\n  name: {name}\nspec:\n  tier: {tier}\n")
}

/// A tenant that runs [`web_bundle`].
pub(crate) fn tenant_with_web(name: &str, tier: &str, bundle: &str, image: &str) -> String {
    let tenant = tenant(name, tier);
    format!(
        "{tenant}  bundles:\n    - name: {bundle}\n      version: 1.0.0\n      parameters:\n        image: {image}\n"
    )
}
