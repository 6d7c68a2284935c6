"""Linear(6, 3) – ReLU – Linear(3, 1), trained in PyTorch and in Keras.

deploy export examples/simplenet.py:torch_net --to torchscript,mar,onnx,savedmodel,tflite --name simplenet
"""

from deploy_toolkit.demo.simplenet import keras_net, keras_twin, torch_net

__all__ = ["keras_net", "keras_twin", "torch_net"]
