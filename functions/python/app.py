"""The deployable handlers, named by the function's setting "handler".

`app.handler` streams an S3 object to those who bear the secret header. `app.export` asks for no
secret: only for functions that nobody can call unsigned (AWS_IAM, or direct invocation).
"""

from spillway_lambda import guarded
from spillway_lambda.s3_export import from_environment

export = from_environment()
handler = guarded(export)
