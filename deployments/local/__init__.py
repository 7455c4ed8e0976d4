"""The local stack of servers: S3 and Secrets Manager (moto), git with a token, a scripted model, and Prefect."""
