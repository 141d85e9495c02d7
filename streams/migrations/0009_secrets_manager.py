import uuid

from django.db import migrations, models

import streams.models.secrets


def give_ids(apps, schema_editor):
    """Each version that is there an id of its own: a column's default is one for all of them."""
    versions = apps.get_model("streams", "SecretVersion").objects
    for pk in versions.values_list("pk", flat=True):
        versions.filter(pk=pk).update(external_id=str(uuid.uuid4()))


class Migration(migrations.Migration):

    dependencies = [
        ('streams', '0008_notices'),
    ]

    operations = [
        migrations.AddField(
            model_name='secret',
            name='secrets_manager',
            field=models.JSONField(blank=True, null=True, verbose_name='in Secrets Manager'),
        ),
        migrations.AddField(
            model_name='secretversion',
            name='external_id',
            field=models.CharField(default=streams.models.secrets.new_external_id, editable=False, max_length=64),
        ),
        migrations.RunPython(give_ids, migrations.RunPython.noop),
    ]
