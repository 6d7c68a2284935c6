"""A small residual CNN (batch norm, stride, global pooling), trained in PyTorch and in Keras.

deploy export examples/simplecnn.py:torch_net --to torchscript,mar,onnx,savedmodel,tflite --name simplecnn
"""

from deploy_toolkit.demo.simplecnn import keras_net, keras_twin, torch_net

__all__ = ["keras_net", "keras_twin", "torch_net"]
