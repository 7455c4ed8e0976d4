"""The local stack: S3 and Secrets Manager (moto), a git server that asks for a token, a scripted model, and Prefect."""
