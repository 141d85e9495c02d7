import streams.models.fields
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def unseal(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Back to where older versions look. Workers have sealed them (`Channel.objects.seal`)."""
    channels = apps.get_model("streams", "Channel").objects.defer("key")
    for channel in channels.filter(sealed__isnull=False):
        if "://" not in channel.address:
            channel.address = channel.sealed
            channel.save(update_fields=["address"])


class Migration(migrations.Migration):

    dependencies = [
        ('streams', '0005_give_up'),
    ]

    operations = [
        migrations.AddField(
            model_name='channel',
            name='sealed',
            field=streams.models.fields.EncryptedField(editable=False, null=True),
        ),
        migrations.RunPython(migrations.RunPython.noop, unseal),
    ]
