"""Charts and manifests of Kubernetes and the template of ECS, rendered and validated."""
