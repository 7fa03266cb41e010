"""Hostile bodies: code, pickles and places that the files of a SentenceTransformer can name."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

from hostile import bodies
from hostile.bait import command, statement
from hostile.bodies import Call, edit, evil_weights, write


def _outside(folder: Path, name: str) -> Path:
    return folder.parent / f"outside-{name}"


# Code that a name leads to


def module_with_code_in_the_folder(folder: Path) -> None:
    (folder / "modeling_evil.py").write_text(statement(folder), encoding="utf-8")
    edit(folder / "modules.json", lambda modules: modules[0].update(type="modeling_evil.Evil"))


def module_that_is_a_function(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type="os.system", path=command(folder)))


def module_that_downloads(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type="sentence_transformers.util.http_get"))


def module_that_is_a_whole_model(folder: Path) -> None:
    edit(
        folder / "modules.json",
        lambda modules: modules[0].update(
            type="sentence_transformers.sentence_transformer.model.SentenceTransformer", path="inner"
        ),
    )
    write(folder / "inner" / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "os.system"}])


def module_of_no_type(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type=["os.system"]))


def auto_map_with_code_in_the_folder(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "modeling.py").write_text(statement(folder), encoding="utf-8")
    edit(
        folder / "config.json",
        lambda config: config.update(
            auto_map={"AutoConfig": "modeling.EvilConfig", "AutoModel": "modeling.EvilModel"}, model_type="evil"
        ),
    )


def auto_map_beside_a_known_model(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "modeling.py").write_text(statement(folder), encoding="utf-8")
    edit(folder / "config.json", lambda config: config.update(auto_map={"AutoModel": "modeling.Evil"}))


def auto_map_of_a_tokenizer(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "tokenization.py").write_text(statement(folder), encoding="utf-8")
    auto = {"AutoTokenizer": ["tokenization.Evil", None]}
    edit(folder / "tokenizer_config.json", lambda config: config.update(auto_map=auto, tokenizer_class="Evil"))


def auto_map_of_a_processor(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "processing.py").write_text(statement(folder), encoding="utf-8")
    write(folder / "processor_config.json", {"auto_map": {"AutoProcessor": "processing.Evil"}})


def activation_that_is_a_function(folder: Path) -> None:
    layer = bodies.dense(folder)
    edit(layer / "config.json", lambda config: config.update(activation_function="os.system"))


def activation_that_is_a_module_of_torch(folder: Path) -> None:
    layer = bodies.dense(folder)
    name = "torch.utils.bottleneck.__main__.main"
    edit(layer / "config.json", lambda config: config.update(activation_function=name))


def word_tokenizer_of_any_name(folder: Path) -> None:
    place = bodies.words(folder)
    (place / "evil.py").write_text(statement(folder), encoding="utf-8")
    edit(place / "wordembedding_config.json", lambda config: config.update(tokenizer_class="evil.Tokenizer"))


def tokenizer_class_that_unpickles(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "psgs.pkl").write_bytes(pickle.dumps(Call(os.system, command(folder))))
    edit(folder / "tokenizer_config.json", lambda config: config.update(tokenizer_class="RagRetriever"))


def processor_class_of_any_name(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "tokenizer_config.json", lambda config: config.update(processor_class="RagRetriever"))


def route_with_code(folder: Path) -> None:
    bodies.router(folder)
    (folder / "modeling_evil.py").write_text(statement(folder), encoding="utf-8")
    edit(
        folder / "router_config.json",
        lambda config: config["types"].update(document_0_StaticEmbedding="modeling_evil.Evil"),
    )


def method_of_the_model_that_writes(folder: Path) -> None:
    bodies.transformer(folder)
    edit(
        folder / "sentence_bert_config.json",
        lambda config: config.update(
            modality_config={"text": {"method": "save_pretrained", "method_output_name": None}},
            module_output_name="token_embeddings",
        ),
    )


def attention_from_the_hub(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(_attn_implementation="evil/kernel:function"))


def quantization_by_a_package(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(quantization_config={"quant_method": "bitsandbytes"}))


_ENDLESS = "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}{{ messages[0].content }}"


def template_that_every_text_goes_through(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "tokenizer_config.json", lambda config: config.update(chat_template=_ENDLESS))
    way = {"method": "forward", "method_output_name": "last_hidden_state"}
    edit(
        folder / "sentence_bert_config.json",
        lambda config: config.update(
            modality_config={"text": way, "message": {**way, "format": "flat"}}, module_output_name="token_embeddings"
        ),
    )


def template_of_a_model_without_modules(folder: Path) -> None:
    bodies.transformer(folder)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    (folder / "chat_template.jinja").write_text(_ENDLESS, encoding="utf-8")


def processor_of_images(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    write(folder / "preprocessor_config.json", {"image_processor_type": "TimmWrapperImageProcessor"})


# Pickles


def arguments_that_turn_the_unpickler_loose(folder: Path) -> None:
    bodies.transformer(folder)
    evil_weights(folder / "model.safetensors", folder)
    edit(folder / "sentence_bert_config.json", lambda config: config.update(model_args={"weights_only": False}))


def arguments_that_turn_the_unpickler_loose_by_another_name(folder: Path) -> None:
    bodies.transformer(folder)
    evil_weights(folder / "model.safetensors", folder)
    (folder / "sentence_bert_config.json").unlink()
    write(folder / "sentence_roberta_config.json", {"model_kwargs": {"weights_only": 0}})


def pickle_as_weights(folder: Path) -> None:
    bodies.transformer(folder)
    evil_weights(folder / "model.safetensors", folder)


def pickle_as_weights_of_a_dense_layer(folder: Path) -> None:
    layer = bodies.dense(folder)
    evil_weights(layer / "model.safetensors", folder)


def pickle_as_weights_of_an_lstm(folder: Path) -> None:
    bodies.words(folder)
    evil_weights(folder / "1_LSTM" / "model.safetensors", folder)


def pickle_as_word_vectors(folder: Path) -> None:
    place = bodies.words(folder)
    evil_weights(place / "model.safetensors", folder)


def pickle_as_static_embedding(folder: Path) -> None:
    evil_weights(folder / "model.safetensors", folder)


def pickle_as_shard(folder: Path) -> None:
    bodies.transformer(folder)
    evil_weights(folder / "model.safetensors", folder)
    (folder / "pytorch_model.bin").rename(folder / "pytorch_model-00001-of-00001.bin")
    index = {"metadata": {}, "weight_map": {"weight": "pytorch_model-00001-of-00001.bin"}}
    write(folder / "pytorch_model.bin.index.json", index)


def pickle_as_adapter(folder: Path) -> None:
    bodies.transformer(folder)
    write(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "evil/base"})
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Call(os.system, command(folder))))


def pickle_of_the_first_torch(folder: Path) -> None:
    bodies.transformer(folder)
    import torch

    weights = bodies.torch_weights(folder / "model.safetensors")
    content = torch.load(weights, weights_only=True)
    torch.save({**content, "x": Call(os.system, command(folder))}, weights, _use_new_zipfile_serialization=False)


def pickle_of_a_plain_kind(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Call(os.system, command(folder))))


def _evil_pickle(folder: Path, content: bytes) -> None:
    """Put a pickle into a torch file that is sound otherwise."""
    weights = bodies.torch_weights(folder / "model.safetensors")
    with zipfile.ZipFile(weights) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(weights, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, content if name.endswith("data.pkl") else part)


def pickle_that_asks_for_memory(folder: Path) -> None:
    # Torch's restricted unpickler calls bytearray, with any argument.
    _evil_pickle(folder, b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.")


def pickle_of_an_endless_expansion(folder: Path) -> None:
    bodies.words(folder)
    place = folder / "0_WordEmbeddings"
    weights = bodies.torch_weights(place / "model.safetensors")
    import torch

    torch.save({"emb_layer.weight": torch.zeros(1).expand(10**6, 10**6)}, weights)


def torch_file_that_is_compressed(folder: Path) -> None:
    bodies.words(folder)
    weights = folder / "0_WordEmbeddings" / "model.safetensors"
    weights = bodies.torch_weights(weights)
    with zipfile.ZipFile(weights) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, bytes(2**26) if "/data/" in name else part)


# Places


def module_path_upwards(folder: Path) -> None:
    shutil.copytree(folder, _outside(folder, "model"))
    edit(folder / "modules.json", lambda modules: modules[0].update(path="../outside-model"))


def module_path_from_the_root(folder: Path) -> None:
    shutil.copytree(folder, _outside(folder, "model"))
    edit(folder / "modules.json", lambda modules: modules[0].update(path=str(_outside(folder, "model"))))


def module_path_of_windows(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(path="..\\..\\model"))


def route_upwards(folder: Path) -> None:
    bodies.router(folder)
    shutil.copytree(folder / "document_0_StaticEmbedding", _outside(folder, "route"))

    def change(config: dict[str, Any]) -> None:
        config["types"]["../outside-route"] = config["types"].pop("document_0_StaticEmbedding")
        config["structure"]["document"] = ["../outside-route"]

    edit(folder / "router_config.json", change)


def tokenizer_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    shutil.copytree(folder, _outside(folder, "tokenizer"))
    place = str(_outside(folder, "tokenizer"))
    edit(folder / "sentence_bert_config.json", lambda config: config.update(tokenizer_name_or_path=place))


def shard_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "model.safetensors").rename(_outside(folder, "weights.safetensors"))
    index = {"metadata": {}, "weight_map": {"x": "../outside-weights.safetensors"}}
    write(folder / "model.safetensors.index.json", index)


def weights_file_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(transformers_weights="../outside.safetensors"))


def gguf_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "sentence_bert_config.json", lambda config: config.update(model_args={"gguf_file": "/etc/passwd"}))


def link_out_of_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(_outside(folder, "weights"))
    (folder / "model.safetensors").symlink_to(_outside(folder, "weights"))


def link_to_a_folder_outside(folder: Path) -> None:
    bodies.dense(folder)
    (folder / "2_Dense").rename(_outside(folder, "dense"))
    (folder / "2_Dense").symlink_to(_outside(folder, "dense"), target_is_directory=True)


def link_to_blobs_that_are_not_its_own(folder: Path) -> None:
    blobs = folder.parent.parent / f"blobs-of-{folder.parent.name}"
    blobs.mkdir()
    (folder / "tokenizer.json").rename(blobs / "blob")
    (folder / "tokenizer.json").symlink_to(blobs / "blob")


def link_without_an_end(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("tokenizer.json")


def weights_are_a_pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def tokenizer_is_endless(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/dev/zero")


def model_card_is_a_pipe(folder: Path) -> None:
    (folder / "README.md").unlink(missing_ok=True)
    os.mkfifo(folder / "README.md")


CASES = (
    module_with_code_in_the_folder,
    module_that_is_a_function,
    module_that_downloads,
    module_that_is_a_whole_model,
    module_of_no_type,
    auto_map_with_code_in_the_folder,
    auto_map_beside_a_known_model,
    auto_map_of_a_tokenizer,
    auto_map_of_a_processor,
    activation_that_is_a_function,
    activation_that_is_a_module_of_torch,
    word_tokenizer_of_any_name,
    tokenizer_class_that_unpickles,
    processor_class_of_any_name,
    route_with_code,
    method_of_the_model_that_writes,
    attention_from_the_hub,
    quantization_by_a_package,
    template_that_every_text_goes_through,
    template_of_a_model_without_modules,
    processor_of_images,
    arguments_that_turn_the_unpickler_loose,
    arguments_that_turn_the_unpickler_loose_by_another_name,
    pickle_as_weights,
    pickle_as_weights_of_a_dense_layer,
    pickle_as_weights_of_an_lstm,
    pickle_as_word_vectors,
    pickle_as_static_embedding,
    pickle_as_shard,
    pickle_as_adapter,
    pickle_of_the_first_torch,
    pickle_of_a_plain_kind,
    pickle_that_asks_for_memory,
    pickle_of_an_endless_expansion,
    torch_file_that_is_compressed,
    module_path_upwards,
    module_path_from_the_root,
    module_path_of_windows,
    route_upwards,
    tokenizer_from_elsewhere,
    shard_from_elsewhere,
    weights_file_from_elsewhere,
    gguf_from_elsewhere,
    link_out_of_the_folder,
    link_to_a_folder_outside,
    link_to_blobs_that_are_not_its_own,
    link_without_an_end,
    weights_are_a_pipe,
    tokenizer_is_endless,
    model_card_is_a_pipe,
)
