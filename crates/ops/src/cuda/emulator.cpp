// Reads a program from stdin, as emulator.rs writes it, runs it and writes every buffer to stdout.
//
//   order O                                   in which order threads take their turns
//   buffer BYTES FILLED                       FILLED bytes of content follow after the newline
//   launch KERNEL X Y Z THREADS ARGUMENTS a…  `b3` is buffer 3, `i7` the int 7
//   end

#include <iostream>

using namespace emulator;

static const Kernel& find(const std::string& name) {
    for (const Kernel& kernel : KERNELS)
        if (kernel.name == name) return kernel;
    fail("no kernel " + name);
}

static void launch(std::vector<Buffer>& buffers, unsigned order) {
    std::string name, token;
    dim3 grid;
    unsigned block;
    size_t count;
    std::cin >> name >> grid.x >> grid.y >> grid.z >> block >> count;
    const Kernel& kernel = find(name);
    if (kernel.arity != count) fail(name + " has another number of parameters");
    std::vector<int> ints(count);
    std::vector<void*> arguments(count);
    for (size_t i = 0; i < count; ++i) {
        std::cin >> token;
        ints[i] = std::stoi(token.substr(1));
        arguments[i] = token[0] == 'b' ? static_cast<void*>(&buffers.at(ints[i]).data) : &ints[i];
    }
    run_grid(grid, block, order, [&] { kernel.call(arguments.data()); });
    for (size_t i = 0; i < buffers.size(); ++i)
        if (!buffers[i].is_guarded()) fail(name + " wrote beside buffer " + std::to_string(i));
}

int main() {
    std::ios::sync_with_stdio(false);
    std::vector<Buffer> buffers;
    unsigned order = 0;
    for (std::string word; std::cin >> word && word != "end";) {
        if (word == "order") {
            std::cin >> order;
        } else if (word == "buffer") {
            size_t length, filled;
            std::cin >> length >> filled;
            std::cin.get();
            buffers.emplace_back(length);
            std::cin.read(reinterpret_cast<char*>(buffers.back().data), filled);
        } else {
            launch(buffers, order);
        }
    }
    for (const Buffer& buffer : buffers)
        fwrite(buffer.data, 1, buffer.length, stdout);
}
