// Read a bundle from C++ with nothing but OpenVINO: `defects BUNDLE/model.xml PICTURE.ppm THRESHOLD` prints how many of the
// network's pixels, not the picture's, are defective. The picture is a binary PPM (P6) of the network's size: how any picture
// becomes one, and the answer one of the picture, is told in docs/deploy.md, "Other runtimes".
// Model of one class: (1, h, w, 3) uint8 RGB in, (1, h, w, 1) float32 probability of a defect out.
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>

int main(int count, char** words) {
    if (count != 4) {
        std::cerr << "usage: defects MODEL.xml PICTURE.ppm THRESHOLD\n";
        return 2;
    }
    try {
        ov::Core core;
        // float32 also where the CPU offers bfloat16, which would be off by 3e-3
        auto model = core.compile_model(words[1], "CPU", ov::hint::inference_precision(ov::element::f32));
        const auto shape = model.input().get_shape();  // 1, h, w, 3

        std::ifstream file(words[2], std::ios::binary);
        std::string kind;
        size_t w = 0, h = 0, most = 0;
        file >> kind >> w >> h >> most;
        file.get();  // the one space before the pixels
        if (kind != "P6" || most != 255 || h != shape[1] || w != shape[2])
            throw std::runtime_error(std::string(words[2]) + " is no P6 picture of the network's size");
        ov::Tensor picture(ov::element::u8, shape);
        if (!file.read(reinterpret_cast<char*>(picture.data()), picture.get_byte_size()))
            throw std::runtime_error(std::string(words[2]) + " ends too early");

        auto request = model.create_infer_request();
        request.set_input_tensor(picture);
        request.infer();
        const auto answer = request.get_output_tensor(0);
        if (answer.get_shape()[3] != 1)
            // a pixel is then a defect where 1 - p(background) exceeds the threshold, of the likeliest of channels 1, 2, ...
            throw std::runtime_error("a model of several classes: this example reads one");
        const float threshold = std::stof(words[3]);
        size_t defective = 0;
        for (size_t i = 0; i < answer.get_size(); ++i) {
            const float probability = answer.data<float>()[i];
            if (!std::isfinite(probability))
                throw std::runtime_error("the model answers NaN or infinity: no verdict");
            defective += probability > threshold;
        }
        std::cout << defective << "\n";
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 2;
    }
}
