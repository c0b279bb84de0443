"""From bronze to the published file: plan, transform, audit, apply, publish."""
